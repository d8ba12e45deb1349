"""The reference as a document, docs/commands.md."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from magkit.cli.reference.tree import Command, Parameter, Reference, Table
from magkit.cli.reference.words import ENVIRONMENT, EXITS, SETTINGS

WIDTH = 100

_HEAD = (
    "What `--help` says of all commands, on one page. `python -m magkit.cli.reference` makes it"
    " out of their declarations; plugins' own options stand in `--help` alone."
)


def document(reference: Reference) -> str:
    """Return the text, of lines of up to 100 columns."""
    return "\n".join(_lines(reference)).rstrip() + "\n"


def _lines(reference: Reference) -> Iterator[str]:
    yield from ("# Commands", "", *_wrapped(_HEAD), "")
    for command in reference.commands:
        yield from _item(f"[`{command.path}`](#{_anchor(command.path)}): {command.summary}")
    yield ""
    for command in reference.commands:
        yield from _command(command)
    yield from ("## Options of every command", "", *_parameters(reference.shared), "")
    yield from (*_wrapped(SETTINGS), "")
    yield from ("## Options by name", "", "What `--opt KEY=VALUE` takes.", "")
    for table in reference.tables:
        yield from _table(table)
    yield from ("## Environment", "", *_pairs(ENVIRONMENT), "")
    yield from ("## Exit codes", "", *_pairs(EXITS))


def _command(command: Command) -> Iterator[str]:
    yield from (f"## {command.path}", "", *_wrapped(command.summary), "")
    yield from ("```text", f"{command.path} {command.usage}", "```", "")
    for paragraph in command.details:
        as_it_is = "\n" in paragraph
        yield from (["```text", paragraph, "```"] if as_it_is else _wrapped(paragraph))
        yield ""
    if command.arguments or command.options:
        yield from (*_parameters((*command.arguments, *command.options)), "")


def _parameters(parameters: Iterable[Parameter]) -> Iterator[str]:
    for one in parameters:
        *others, last = one.names or ("",)
        spans = [*others, f"{last} {one.value}".strip()]
        yield from _item(f"{', '.join(f'`{span}`' for span in spans)}: {one.text}")


def _table(table: Table) -> Iterator[str]:
    yield from (f"### {table.title}", "")
    for row in table.rows:
        yield from _item(f"`{row.key}` ({row.type}): {row.help}. Default: {row.default}.")
    yield ""


def _pairs(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, meaning in pairs:
        yield from _item(f"`{name}`: {meaning}")


def _item(text: str) -> list[str]:
    return _wrapped(f"- {text}", "  ")


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")
