"""Writes docs/commands.md and man/magkit.1 of this checkout from the declared commands.

    python tools/command_reference.py

A test fails when either file is out of date.
"""

from __future__ import annotations

import inspect
import re
import textwrap
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from typer.models import ArgumentInfo, ParameterInfo

from magkit import builtin
from magkit.cli.app import app
from magkit.options import OptionRow, option_rows
from magkit.version import __version__

ROOT = Path(__file__).parents[1]

WIDTH = 100

_HEAD = (
    "What `--help` says of all commands, on one page. `python tools/command_reference.py` makes it"
    " out of their declarations; plugins' own options stand in `--help` alone."
)

DESCRIPTION = (
    "magkit turns a video into one in which small motions are larger, trains the networks that do"
    " it, and turns noise into what a trained network takes for the pictures it was trained on."
)
OUTPUTS = (
    "Results go to standard output, everything else to standard error. Outputs are written whole"
    " or not at all, and replace nothing without --overwrite, but for reports. Trainings and long"
    " jobs go on where they were stopped when the same command is given again."
)

SETTINGS = (
    "Every option can be set in three more places: a file (--config FILE.toml, whose keys are the"
    " options' names), the environment (MAGKIT_THREADS for --threads), and the command line. Each"
    " overrides the one before."
)

ENVIRONMENT = (
    ("MAGKIT_<OPTION>", "The value of an option: MAGKIT_CAPTURE_FPS is --capture-fps."),
    ("MAGKIT_CACHE", "The folder for what is worth keeping; ~/.cache/magkit if unset."),
    ("MAGKIT_DAVIS", "Where DAVIS lies, for magkit invert."),
    ("MAGKIT_PLUGINS", "Load only these plugins, separated by commas; none if empty."),
    ("MAGKIT_DISABLE_PLUGINS", "Leave these plugins out."),
    ("MAGKIT_STRICT_PLUGINS", "1: raise what a broken plugin raised, with its traceback."),
    ("MAGKIT_DEBUG", "1: show the traceback of what went wrong."),
)

EXITS = (
    ("0", "All is done."),
    ("1", "It failed; standard error says why in one sentence."),
    ("2", "Wrong use: an unknown option, a value out of its range."),
    ("130", "Interrupted by Ctrl-C."),
    ("143", "Terminated by SIGTERM."),
)

EXAMPLES = (
    ("magkit demo", "Render a clip, magnify it, and measure the result."),
    ("magkit magnify clip.mp4 --factor 20 --band 0.4-3", "What moves between 0.4 and 3 Hz."),
    ("magkit pretrain --method scrl", "Train an encoder without labels."),
    ("magkit finetune --encoder runs/pretrain-001", "Train a magnifier from there."),
    ("magkit invert --video bear --frames all", "Noise, until a network sees DAVIS' bear."),
)

VALUE_NAMES = {int: "INT", float: "NUMBER", Path: "PATH", str: "TEXT"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument or an option.

    Attributes:
        names: its flags; none of an argument.
        value: what stands for its value; empty for a switch.
        text: what it does, its range and its default, in sentences.
    """

    names: tuple[str, ...]
    value: str
    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command, or a group of them.

    Attributes:
        path: as it is typed, `magkit evaluate clip`.
        summary: one line.
        details: further paragraphs; one of several lines is to be shown as it stands.
        arguments: in their order.
        options: without those that all commands share.
        usage: what follows its path.
    """

    path: str
    summary: str
    details: tuple[str, ...]
    arguments: tuple[Parameter, ...]
    options: tuple[Parameter, ...]
    usage: str


@dataclass(frozen=True, slots=True)
class Table:
    """The `--opt` keys of the built-ins of a kind that have the same ones."""

    kind: str
    names: tuple[str, ...]
    rows: tuple[OptionRow, ...]

    @property
    def title(self) -> str:
        """The heading: "Method moco", "Targets maskrcnn and maskrcnn-v2"."""
        *others, last = self.names
        listed = f"{', '.join(others)} and {last}" if others else last
        return f"{self.kind.capitalize()}{'s' if others else ''} {listed}"


@dataclass(frozen=True, slots=True)
class Reference:
    """The commands, the options that all of them share, and the options of `--opt`."""

    commands: tuple[Command, ...]
    shared: tuple[Parameter, ...]
    tables: tuple[Table, ...]


def read(app: typer.Typer, name: str = "magkit") -> Reference:
    """Read the declarations of an app's commands; hidden ones are left out."""
    found = list(_walk(app, name))
    leaves = [command for command, is_leaf in found if is_leaf]
    common = set.intersection(*({option.names for option in leaf.options} for leaf in leaves))
    shared = tuple(option for option in leaves[0].options if option.names in common)
    help_ = Parameter(("--help",), "", "Show what a command does and takes, and exit.")
    commands = tuple(
        replace(command, options=tuple(o for o in command.options if o.names not in common))
        for command, _ in found
    )
    return Reference(commands, (*shared, help_), tuple(_tables()))


def _walk(app: typer.Typer, path: str) -> Iterator[tuple[Command, bool]]:
    callback = app.registered_callback.callback if app.registered_callback else None
    alone = bool(app.registered_callback and app.registered_callback.invoke_without_command is True)
    alone = alone or app.info.invoke_without_command is True
    yield _command(path, callback, str(app.info.help), "[COMMAND]" if alone else "COMMAND"), False
    for leaf in app.registered_commands:
        if not leaf.hidden:
            yield _command(f"{path} {leaf.name}", leaf.callback, "", ""), True
    for group in app.registered_groups:
        if group.typer_instance is not None:
            yield from _walk(group.typer_instance, f"{path} {group.name}")


def _command(path: str, callback: Callable[..., Any] | None, summary: str, inner: str) -> Command:
    text = inspect.cleandoc(summary or (callback and callback.__doc__) or "")
    first, *details = map(_paragraph, text.split("\n\n"))
    declared = list(_declared(callback)) if callback else []
    arguments = tuple(p for p in declared if not p.names)
    usage = " ".join(["[OPTIONS]", *(p.value for p in arguments), *([inner] if inner else [])])
    options = tuple(p for p in declared if p.names)
    return Command(path, first, tuple(details), arguments, options, usage)


def _paragraph(text: str) -> str:
    mark = "\b\n"  # Typer's, of paragraphs that are not to be wrapped anew
    return text.removeprefix(mark) if text.startswith(mark) else " ".join(text.split())


def _declared(callback: Callable[..., Any]) -> Iterator[Parameter]:
    for parameter in inspect.signature(callback, eval_str=True).parameters.values():
        hint, info = _parts(parameter.annotation)
        if info is not None and not info.hidden:
            names = () if isinstance(info, ArgumentInfo) else _names(parameter.name, hint, info)
            value = info.metavar or _value(hint, parameter.name)
            text = _sentences(info, hint, parameter.default)
            yield Parameter(names, "" if hint is bool else value, text)


def _parts(annotation: Any) -> tuple[Any, ParameterInfo | None]:
    """Return a parameter's type, without `| None` and `list`, and its Typer declaration."""
    if get_origin(annotation) is not Annotated:
        return annotation, None
    hint, *notes = get_args(annotation)
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(arg for arg in get_args(hint) if arg is not types.NoneType)
    if get_origin(hint) is list:
        (hint,) = get_args(hint)
    return hint, next((note for note in notes if isinstance(note, ParameterInfo)), None)


def _names(name: str, hint: Any, info: ParameterInfo) -> tuple[str, ...]:
    # In an annotation, what would be the default elsewhere is the first flag.
    given = (info.default, *(info.param_decls or ()))
    flags = tuple(flag for flag in given if isinstance(flag, str) and flag.startswith("-"))
    dashed = name.replace("_", "-")
    return flags or ((f"--{dashed}", f"--no-{dashed}") if hint is bool else (f"--{dashed}",))


def _value(hint: Any, name: str) -> str:
    if get_origin(hint) is Literal:
        return "|".join(map(str, get_args(hint)))
    return VALUE_NAMES.get(hint, name.upper())


def _sentences(info: ParameterInfo, hint: Any, default: Any) -> str:
    sentences = [(info.help or "").strip()]
    if info.min is not None and info.max is not None:
        sentences.append(f"From {info.min} to {info.max}.")
    elif info.min is not None:
        sentences.append(f"At least {info.min}.")
    if default is inspect.Parameter.empty:
        sentences.append("Required.")
    elif default is not None and hint is not bool:
        shown = default.as_posix() if isinstance(default, Path) else default
        sentences.append(f"Default: {shown}.")
    return " ".join(sentence for sentence in sentences if sentence)


def _tables() -> Iterator[Table]:
    specs: Sequence[Any] = [
        *builtin.magkit_magnifiers(),
        *builtin.magkit_methods(),
        *builtin.magkit_targets(),
    ]
    names: dict[tuple[str, tuple[OptionRow, ...]], list[str]] = {}
    for spec in specs:
        names.setdefault((spec.kind, tuple(option_rows(spec.config))), []).append(spec.name)
    for (kind, rows), alike in names.items():
        if rows:
            yield Table(kind, tuple(alike), rows)


def document(reference: Reference) -> str:
    """Return docs/commands.md, in lines of up to 100 columns."""
    return "\n".join(_document_lines(reference)).rstrip() + "\n"


def _document_lines(reference: Reference) -> Iterator[str]:
    yield from ("# Commands", "", *_wrapped(_HEAD), "")
    for command in reference.commands:
        yield from _item(f"[`{command.path}`](#{_anchor(command.path)}): {command.summary}")
    yield ""
    for command in reference.commands:
        yield from _document_command(command)
    yield from ("## Options of every command", "", *_document_parameters(reference.shared), "")
    yield from (*_wrapped(SETTINGS), "")
    yield from ("## Options by name", "", "What `--opt KEY=VALUE` takes.", "")
    for table in reference.tables:
        yield from _document_table(table)
    yield from ("## Environment", "", *_document_pairs(ENVIRONMENT), "")
    yield from ("## Exit codes", "", *_document_pairs(EXITS))


def _document_command(command: Command) -> Iterator[str]:
    yield from (f"## {command.path}", "", *_wrapped(command.summary), "")
    yield from ("```text", f"{command.path} {command.usage}", "```", "")
    for paragraph in command.details:
        as_it_is = "\n" in paragraph
        yield from (["```text", paragraph, "```"] if as_it_is else _wrapped(paragraph))
        yield ""
    if command.arguments or command.options:
        yield from (*_document_parameters((*command.arguments, *command.options)), "")


def _document_parameters(parameters: Iterable[Parameter]) -> Iterator[str]:
    for one in parameters:
        *others, last = one.names or ("",)
        spans = [*others, f"{last} {one.value}".strip()]
        yield from _item(f"{', '.join(f'`{span}`' for span in spans)}: {one.text}")


def _document_table(table: Table) -> Iterator[str]:
    yield from (f"### {table.title}", "")
    for row in table.rows:
        yield from _item(f"`{row.key}` ({row.type}): {row.help}. Default: {row.default}.")
    yield ""


def _document_pairs(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
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


def page(reference: Reference) -> str:
    """Return the man page in roff, with the macros of man(7)."""
    return "\n".join(_page_lines(reference)) + "\n"


def _page_lines(reference: Reference) -> Iterator[str]:
    root = reference.commands[0]
    yield f'.TH MAGKIT 1 "" "magkit {__version__}" "User Commands"'
    yield from (".SH NAME", rf"magkit \- {_roff(root.summary[0].lower() + root.summary[1:-1])}")
    yield from (".SH SYNOPSIS", rf"\fBmagkit\fR {_roff(root.usage)}")
    yield from (".SH DESCRIPTION", *_page_paragraphs([DESCRIPTION, OUTPUTS]))
    yield ".SH COMMANDS"
    for command in reference.commands:
        yield from _page_command(command)
    yield from (".SH OPTIONS OF EVERY COMMAND", *_page_parameters(reference.shared))
    yield from _page_paragraphs([SETTINGS])
    yield from (".SH OPTIONS BY NAME", *_page_paragraphs(["What --opt KEY=VALUE takes."]))
    for table in reference.tables:
        yield from _page_table(table)
    yield from (".SH ENVIRONMENT", *_page_pairs(ENVIRONMENT))
    yield from (".SH EXIT STATUS", *_page_pairs(EXITS))
    yield from (".SH EXAMPLES", *_page_pairs(EXAMPLES))


def _page_command(command: Command) -> Iterator[str]:
    yield f".SS {_roff(command.path)}"
    if command.path != "magkit":
        yield from _page_paragraphs([command.summary])
    yield from (".PP", rf"\fB{_roff(command.path)}\fR {_roff(command.usage)}")
    yield from _page_paragraphs(command.details)
    yield from _page_parameters((*command.arguments, *command.options))


def _page_parameters(parameters: Iterable[Parameter]) -> Iterator[str]:
    for one in parameters:
        names = ", ".join(rf"\fB{_roff(name)}\fR" for name in one.names)
        value = rf"\fI{_roff(one.value)}\fR" if one.value else ""
        yield from (".TP", f"{names} {value}".strip(), _roff(one.text))


def _page_table(table: Table) -> Iterator[str]:
    yield f".SS {_roff(table.title)}"
    for row in table.rows:
        tag = rf"\fB{_roff(row.key)}\fR (\fI{_roff(row.type)}\fR)"
        yield from (".TP", tag, _roff(f"{row.help}. Default: {row.default}."))


def _page_pairs(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    for name, meaning in pairs:
        yield from (".TP", rf"\fB{_roff(name)}\fR", _roff(meaning))


def _page_paragraphs(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        if "\n" in text:  # lines that stand as they are
            yield from (".PP", ".nf", *map(_roff, text.splitlines()), ".fi")
        else:
            yield from (".PP", _roff(text))


def _roff(text: str) -> str:
    """Escape a text for roff; code spans become bold."""
    escaped = text.replace("\\", r"\(rs").replace("-", r"\-").replace("'", r"\(aq")
    escaped = re.sub(r"`([^`]*)`", r"\\fB\1\\fR", escaped)
    return rf"\&{escaped}" if escaped.startswith(".") else escaped


def texts() -> dict[str, str]:
    """Make the content of each file, by its path in a checkout."""
    reference = read(app)
    return {"docs/commands.md": document(reference), "man/magkit.1": page(reference)}


if __name__ == "__main__":
    for name, text in texts().items():
        (ROOT / name).write_text(text, encoding="utf-8", newline="\n")
