"""The client that reads `https://`: where a server redirects to is checked.

A public server must not send this machine to addresses that only its own network reaches. aiohttp
follows redirects by itself, and names say nothing of where they lead, so that what counts is the
address that a connection was made to, before anything is sent through it.
"""

from __future__ import annotations

from contextvars import ContextVar
from ipaddress import IPv6Address, ip_address
from types import SimpleNamespace
from typing import Any

import aiohttp
from yarl import URL

from magkit.errors import MagkitError

_asked: ContextVar[URL] = ContextVar("asked")  # what the request that is under way began with


class _Connector(aiohttp.TCPConnector):
    """Connects redirected requests to public addresses and to the host first asked alone."""

    async def connect(self, req: Any, *args: Any, **named: Any) -> Any:
        connection = await super().connect(req, *args, **named)
        asked = _asked.get(req.url)
        if _same_host(req.url, asked) or is_public(_peer(connection)):
            return connection
        connection.close()
        raise MagkitError(
            f"{asked} leads on to {req.url.origin()}, an address of an internal network",
            "if that is meant, give that address in its place",
        )


def _same_host(url: URL, asked: URL) -> bool:
    if url.host != asked.host:
        return False
    return url.port == asked.port or (url.is_default_port() and asked.is_default_port())


def _peer(connection: Any) -> str:
    name = connection.transport.get_extra_info("peername") if connection.transport else None
    return str(name[0]) if name else ""


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public internet."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or found
    return found.is_global


async def _began(_session: object, _context: SimpleNamespace, params: Any) -> None:
    _asked.set(params.url)


async def open_session(**named: Any) -> aiohttp.ClientSession:
    """Return a session for fsspec, which passes what else it was told (`get_client`)."""
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(_began)
    return aiohttp.ClientSession(connector=_Connector(), trace_configs=[trace], **named)
