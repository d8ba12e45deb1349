"""The reference as a man page, man/magkit.1: roff, of the macros of man(7)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from magkit.cli.reference.tree import Command, Parameter, Reference, Table
from magkit.cli.reference.words import ENVIRONMENT, EXAMPLES, EXITS, HOW, SETTINGS, WHAT
from magkit.version import __version__


def page(reference: Reference) -> str:
    """Return the source of the page."""
    return "\n".join(_lines(reference)) + "\n"


def _lines(reference: Reference) -> Iterator[str]:
    root = reference.commands[0]
    yield f'.TH MAGKIT 1 "" "magkit {__version__}" "User Commands"'
    yield from (".SH NAME", rf"magkit \- {_text(root.summary[0].lower() + root.summary[1:-1])}")
    yield from (".SH SYNOPSIS", rf"\fBmagkit\fR {_text(root.usage)}")
    yield from (".SH DESCRIPTION", *_paragraphs([WHAT, HOW]))
    yield ".SH COMMANDS"
    for command in reference.commands:
        yield from _command(command)
    yield from (".SH OPTIONS OF EVERY COMMAND", *_parameters(reference.shared))
    yield from _paragraphs([SETTINGS])
    yield from (".SH OPTIONS BY NAME", *_paragraphs(["What --opt KEY=VALUE takes."]))
    for table in reference.tables:
        yield from _table(table)
    yield from (".SH ENVIRONMENT", *_pairs(ENVIRONMENT))
    yield from (".SH EXIT STATUS", *_pairs(EXITS))
    yield from (".SH EXAMPLES", *_pairs(EXAMPLES))


def _command(command: Command) -> Iterator[str]:
    yield f".SS {_text(command.path)}"
    if command.path != "magkit":
        yield from _paragraphs([command.summary])
    yield from (".PP", rf"\fB{_text(command.path)}\fR {_text(command.usage)}")
    yield from _paragraphs(command.details)
    yield from _parameters((*command.arguments, *command.options))


def _parameters(parameters: Iterable[Parameter]) -> Iterator[str]:
    for one in parameters:
        names = ", ".join(rf"\fB{_text(name)}\fR" for name in one.names)
        value = rf"\fI{_text(one.value)}\fR" if one.value else ""
        yield from (".TP", f"{names} {value}".strip(), _text(one.text))


def _table(table: Table) -> Iterator[str]:
    yield f".SS {_text(table.title)}"
    for row in table.rows:
        tag = rf"\fB{_text(row.key)}\fR (\fI{_text(row.type)}\fR)"
        yield from (".TP", tag, _text(f"{row.help}. Default: {row.default}."))


def _pairs(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, meaning in pairs:
        yield from (".TP", rf"\fB{_text(name)}\fR", _text(meaning))


def _paragraphs(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        if "\n" in text:  # lines that stand as they are
            yield from (".PP", ".nf", *map(_text, text.splitlines()), ".fi")
        else:
            yield from (".PP", _text(text))


def _text(text: str) -> str:
    """Return text in which nothing is a request, an escape or a hyphen that isn't meant so."""
    escaped = text.replace("\\", r"\(rs").replace("-", r"\-").replace("'", r"\(aq")
    escaped = re.sub(r"`([^`]*)`", r"\\fB\1\\fR", escaped)
    return rf"\&{escaped}" if escaped.startswith(".") else escaped
