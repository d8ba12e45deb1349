"""`magkit plugins`: what is installed, what it provides, and what is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magkit.cli.output import Output

if TYPE_CHECKING:
    from rich.table import Table

    from magkit.discovery import Plugin

SLOW = 1.0
"""Seconds of loading that are worth a word."""

_STYLES = {"ok": "green", "broken": "bold red", "disabled": "dim"}


def plugins(out: Output) -> None:
    """List the plugins, what they provide and their state."""
    from magkit.registry import registry

    found = registry().plugins
    out.show(_table(found))
    for plugin in found:
        for remark in _remarks(plugin):
            out.warn(f"{plugin}: {remark}")
    out.finish({"plugins": [_record(plugin) for plugin in found]})


def _table(found: tuple[Plugin, ...]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table("plugin", "version", "hooks", "provides", "state")
    for plugin in found:
        table.add_row(
            Text(_label(plugin)),
            Text(plugin.version),
            Text("\n".join(plugin.hooks)),
            Text("\n".join(f"{spec.kind} {spec.name}" for spec in plugin.specs)),
            Text(plugin.state, style=_STYLES[plugin.state]),
        )
    return table


def _label(plugin: Plugin) -> str:
    return plugin.distribution if plugin.builtin else f"{plugin.distribution} ({plugin.name})"


def _remarks(plugin: Plugin) -> list[str]:
    remarks = []
    off = "" if plugin.builtin else f"; MAGKIT_DISABLE_PLUGINS={plugin.name} switches it off"
    if plugin.state == "broken":
        remarks.append(f"{plugin.error}\n  MAGKIT_STRICT_PLUGINS=1 shows the traceback{off}")
    if plugin.seconds > SLOW:
        remarks.append(f"it took {plugin.seconds:.1f} s to load{off}")
    if plugin.printed:
        remarks.append(f"it printed while it was loaded: {plugin.printed.strip()!r}")
    return remarks


def _record(plugin: Plugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "state": plugin.state,
        "hooks": plugin.hooks,
        "provides": [{"kind": spec.kind, "name": spec.name} for spec in plugin.specs],
        "error": plugin.error or None,
        "printed": plugin.printed or None,
        "seconds": round(plugin.seconds, 3),
    }
