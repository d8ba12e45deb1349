"""Files read from local paths, zip archives, buckets and the web.

A place is a path, a URL (`gs://bucket/a.jpg`), or either of them with a member of a zip
(`photos.zip!/a.jpg`). Remote files are read through fsspec, whose drivers find credentials.
"""

from __future__ import annotations

import re
import time
import zipfile
import zlib
from contextvars import ContextVar
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import fsspec

from magkit.errors import MagkitError, UsageError

EXTRAS = {"gs": "gcs", "gcs": "gcs", "s3": "s3", "http": "http", "https": "http"}
SCHEMES = (*EXTRAS, "file", "memory")
MAX_BYTES = 128 << 20  # of a file
RETRY_DELAYS = [0.5, 2.0]  # seconds
IN_ZIP = "!/"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_MEMBER = re.compile(r"(.*?\.zip)!/(.*)", re.IGNORECASE | re.DOTALL)
_GONE = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
# What zipfile raises over damaged, encrypted and unsupported members.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, KeyError)


class UnreachableError(MagkitError):
    """A file can't be reached; it may be intact."""


def scheme(place: str) -> str:
    """Return a URL's scheme in lower case, or "" for a local path.

    Raises:
        UsageError: the scheme is unsupported.
    """
    found = _SCHEME.match(place)
    if not found:
        return ""
    name = found[1].lower()
    if name not in SCHEMES:
        known = ", ".join(f"{s}://" for s in SCHEMES)
        raise UsageError(f"{place}: {name}:// can't be read", f"paths, and {known}")
    return name


def filesystem(name: str) -> Any:
    """Return fsspec's file system for a scheme, one per process.

    Raises:
        MagkitError: its driver isn't installed, or can't start.
    """
    try:
        return _filesystem(name)
    except ImportError as error:
        raise MagkitError(
            f"reading {name}:// needs a driver that is not installed",
            hint=f"pip install 'magkit[{EXTRAS[name]}]'",
        ) from error
    except Exception as error:  # drivers raise types of their own
        raise MagkitError(f"{name}:// can't be reached: {first_line(error)}") from error


@lru_cache
def _filesystem(name: str) -> Any:
    if name not in ("http", "https"):
        return fsspec.filesystem(name)
    return fsspec.filesystem(name, get_client=_open_session)


async def _open_session(**named: Any) -> Any:
    """Return aiohttp's session for fsspec (`get_client`), which checks addresses of redirects.

    A public server must not redirect to an address of the internal network. Names don't tell where
    they lead, so the address of the connection is checked before anything is sent through it.
    """
    import aiohttp  # an extra

    first_url: ContextVar[Any] = ContextVar("first_url")

    class Connector(aiohttp.TCPConnector):
        async def connect(self, req: Any, *args: Any, **more: Any) -> Any:
            connection = await super().connect(req, *args, **more)
            asked = first_url.get(req.url)
            if _same_host(req.url, asked) or is_public(_peer_address(connection)):
                return connection
            connection.close()
            raise MagkitError(
                f"{asked} leads on to {req.url.origin()}, an address of an internal network",
                "if that is meant, give that address in its place",
            )

    async def remember(_session: object, _context: SimpleNamespace, params: Any) -> None:
        first_url.set(params.url)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(remember)
    return aiohttp.ClientSession(connector=Connector(), trace_configs=[trace], **named)


def _same_host(url: Any, asked: Any) -> bool:
    if url.host != asked.host:
        return False
    return bool(url.port == asked.port or (url.is_default_port() and asked.is_default_port()))


def _peer_address(connection: Any) -> str:
    name = connection.transport.get_extra_info("peername") if connection.transport else None
    return str(name[0]) if name else ""


def is_public(address: str) -> bool:
    """Tell whether an IP address is public."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or found
    return found.is_global


def open_place(place: str) -> IO[bytes]:
    """Open a file that is no member of a zip, with random access.

    Raises:
        MagkitError: there is none, or it can't be reached.
    """
    name = scheme(place)
    try:
        if not name:
            return Path(place).open("rb")
        stream: IO[bytes] = filesystem(name).open(place, "rb", block_size=1 << 18)
        return stream
    except MagkitError:
        raise
    except FileNotFoundError as error:
        raise _missing(place, error) from error
    except Exception as error:  # drivers raise types of their own
        raise MagkitError(f"{place} can't be opened: {first_line(error)}") from error


@lru_cache(maxsize=8)
def open_zip(place: str) -> zipfile.ZipFile:
    """Open a zip, which stays open.

    Raises:
        MagkitError: there is none, or it is damaged.
    """
    try:
        return zipfile.ZipFile(open_place(place))
    except (OSError, *_DAMAGED) as error:
        raise MagkitError(f"{place} is not a zip file that can be read: {error}") from error


def read_bytes(place: str, limit: int = MAX_BYTES) -> bytes:
    """Read a whole file of at most `limit` bytes.

    Raises:
        MagkitError: it is too large, damaged or not there.
        UnreachableError: no attempt to reach it succeeded.
    """
    data = read_start(place, limit + 1)
    if len(data) > limit:
        raise MagkitError(f"{place} is too large: more than {limit >> 20} MB")
    return data


def read_start(place: str, size: int) -> bytes:
    """Read the first `size` bytes of a file, fewer if it is smaller.

    Raises:
        MagkitError: it is damaged or not there.
        UnreachableError: no attempt to reach it succeeded.
    """
    for pause in (*RETRY_DELAYS, 0.0):
        try:
            return _read(place, size)
        except MagkitError:
            raise
        except Exception as error:  # drivers raise types of their own
            if is_local(place) or _is_permanent(error, place):
                raise MagkitError(f"{place} can't be read: {first_line(error)}") from error
            last = error
            time.sleep(pause)
    raise UnreachableError(f"{place} can't be reached: {first_line(last)}") from last


def _read(place: str, limit: int) -> bytes:
    if inside := _MEMBER.fullmatch(place):
        with open_zip(inside[1]).open(inside[2]) as stream:
            return stream.read(limit)
    name = scheme(place)
    if not name:
        with Path(place).open("rb") as file:
            return file.read(limit)
    if name not in ("http", "https"):
        return bytes(filesystem(name).cat_file(place, 0, limit))
    # A stream, as a server may ignore byte ranges; a given size saves fsspec's request for it.
    data = bytearray()
    with filesystem(name).open(place, "rb", block_size=0, size=1) as web:
        while len(data) < limit and (piece := web.read(min(limit - len(data), 1 << 20))):
            data += piece
    return bytes(data)


def _missing(place: str, error: FileNotFoundError) -> MagkitError:
    # fsspec's HTTP driver raises FileNotFoundError for any failure.
    why = error.__cause__
    return why if isinstance(why, MagkitError) else MagkitError(f"there is no file {place}")


def _is_permanent(error: Exception, place: str) -> bool:
    """Tell whether a retry is useless: the file is missing, damaged or refused."""
    if isinstance(error, _GONE) or (_MEMBER.fullmatch(place) and isinstance(error, _DAMAGED)):
        return True
    status = getattr(error, "status", None) or getattr(error, "code", None)
    return isinstance(status, int) and 400 <= status < 500 and status not in (408, 429)


def is_local(place: str) -> bool:
    """Tell whether a place is local, be it in a zip."""
    return not _SCHEME.match(place)


def on_disk(place: str) -> bool:
    """Tell whether a place is a local path, not a member of a zip."""
    return is_local(place) and not _MEMBER.fullmatch(place)


def version(place: str) -> str:
    """Return a text that changes with the file, without reading it.

    Raises:
        MagkitError: there is no such file, or it can't be reached.
    """
    name = scheme(place)
    try:
        if not name:
            stat = Path(place).stat()
            return f"{stat.st_size} {stat.st_mtime_ns}"
        system = filesystem(name)
        size, key = system.info(place).get("size"), system.ukey(place)
    except MagkitError:
        raise
    except FileNotFoundError as error:
        raise _missing(place, error) from error
    except Exception as error:  # drivers raise types of their own
        raise MagkitError(f"{place} can't be reached: {first_line(error)}") from error
    return f"{size} {sha256(str(key).encode()).hexdigest()}"


def absolute(place: str) -> str:
    """Return a place independent of the working directory."""
    return place if scheme(place) else str(Path(place).absolute())


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
