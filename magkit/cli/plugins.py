"""`magkit plugins` lists plugins and their state; `magkit plugins new` writes one."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from magkit.cli.command import add, group
from magkit.cli.options import Json, Quiet, Verbose
from magkit.cli.output import Output
from magkit.errors import UsageError

if TYPE_CHECKING:
    from rich.text import Text

    from magkit.plugins import Plugin, Registry

SLOW = 1.0
"""Seconds of loading above which a plugin is reported."""

_LABEL = len("magnifier") + 2
"""Width of the labels."""

_STYLES = {"ok": "green", "broken": "bold red", "disabled": "dim"}

plugins = group("List the plugins, what they provide and their state.", invoke_without_command=True)


@plugins.callback()
def _root(
    context: typer.Context,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json: Json = False,
    config: Annotated[
        str | None, typer.Option(metavar="FILE.toml", help="Options from a file.")
    ] = None,
) -> None:
    flags = {"--quiet": quiet, "--verbose": verbose, "--json": json}
    given = [flag for flag, on in flags.items() if on] + (["--config", config] if config else [])
    command = context.invoked_subcommand
    if command and given:
        raise UsageError(
            f"'{given[0]}' belongs behind '{command}'",
            f"{context.command_path} {command} {given[0]}",
        )
    if not command:
        # A command of its own, so that files and variables set its options as they do elsewhere.
        alone = group("")
        add(alone, listing)
        listed = typer.main.get_command(alone)
        # Typer returns the code of an interruption, and raises all else.
        if code := listed.main(given, context.command_path, standalone_mode=False):
            raise typer.Exit(code)


def listing(out: Output) -> None:
    """List the plugins, what they provide and their state."""
    from magkit.plugins import registry

    found = registry()
    for plugin in found.plugins:
        out.show(_entry(plugin, out.width))
    for plugin in found.plugins:
        for remark in _remarks(found, plugin):
            out.warn(f"{plugin}: {remark}")
    out.finish({"plugins": [_record(found, plugin) for plugin in found.plugins]})


def _entry(plugin: Plugin, width: int) -> Text:
    """A plugin's name and state, and what it provides in the lines below."""
    from rich.text import Text

    name = "" if plugin.builtin else f" ({plugin.name})"
    head = Text.assemble((str(plugin), "bold"), f"{name}  ", (plugin.state, _STYLES[plugin.state]))
    return Text("\n").join([head, *map(Text, _provided(plugin, width))])


def _provided(plugin: Plugin, width: int) -> Iterator[str]:
    """The names that a plugin provides by kind, and its hooks; names are never split."""
    names: dict[str, list[str]] = {}
    for spec in plugin.specs:
        names.setdefault(spec.kind, []).append(spec.name)
    for label, words in (names | {"hooks": plugin.hooks}).items():
        if words:
            yield textwrap.fill(
                ", ".join(words),
                width,
                initial_indent=f"  {label:<{_LABEL}}",
                subsequent_indent=" " * (2 + _LABEL),
                break_long_words=False,
                break_on_hyphens=False,
            )


def _remarks(found: Registry, plugin: Plugin) -> list[str]:
    """Warnings about a plugin, each with the way to disable it."""
    remarks = list(found.name_conflicts(plugin))
    if plugin.state == "broken":
        remarks.append(f"{plugin.error}\n  MAGKIT_STRICT_PLUGINS=1 shows the traceback")
    elif plugin.state == "ok" and not plugin.specs:
        remarks.append("it provides nothing: a hook is a function marked by @hookimpl")
    if plugin.heavy:
        names = " and ".join(plugin.heavy)
        remarks.append(f"it imports {names} when it is listed, which makes every command slow")
    if plugin.seconds > SLOW:
        remarks.append(f"it took {plugin.seconds:.1f} s to load")
    if plugin.printed:
        remarks.append(f"it printed while it was loaded: {plugin.printed.strip()!r}")
    return [remark if plugin.builtin else f"{remark}; {plugin.disable_hint}" for remark in remarks]


def _record(found: Registry, plugin: Plugin) -> dict[str, Any]:
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
        "remarks": _remarks(found, plugin),
    }


def new(
    out: Output,
    name: Annotated[str, typer.Argument(metavar="NAME", help="magkit-mine: it provides 'mine'.")],
    *,
    kind: Annotated[
        Literal["method", "target", "magnifier"], typer.Option(help="Kind of extension.")
    ] = "method",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="The package's folder; ./magkit-NAME if unset."
        ),
    ] = None,
) -> None:
    """Write a package that provides a method, a target or a magnifier, ready to be changed.

    It installs with pip, works, and passes its own tests.
    """
    from magkit.plugins import registry
    from magkit.scaffold import Names, refuse_installed, refuse_taken, write_package

    names = Names.of(name)
    refuse_installed(names)
    refuse_taken(names, kind, registry())
    folder = write_package(names, kind, output)
    out.finish(
        {"package": folder, "distribution": names.distribution, "kind": kind, "name": names.name},
        wrote=[folder],
        then=f"pip install {_quoted(folder)}, and then {USES[kind].format(names.name)}",
    )


USES = {
    "method": "magkit pretrain --method {}",
    "target": "magkit invert --target {} --classes red",
    "magnifier": "magkit magnify CLIP --magnifier {}",
}


def _quoted(folder: Path) -> str:
    """A folder for pip, which takes a name without a separator for a package's."""
    text = str(folder) if folder.is_absolute() else f"./{folder.as_posix()}"
    return f'"{text}"' if " " in text else text


add(plugins, new)
