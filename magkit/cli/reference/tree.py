"""The commands, their arguments and options as plain records: what Typer was told of them."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from typer.models import ArgumentInfo, ParameterInfo

from magkit.options import OptionRow, option_rows

_VALUES = {int: "INT", float: "NUMBER", Path: "PATH", str: "TEXT"}


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
    """What `--opt` takes for built-ins of a kind that have the same options."""

    kind: str
    names: tuple[str, ...]
    rows: tuple[OptionRow, ...]

    @property
    def title(self) -> str:
        """What it is called: "method moco", "targets maskrcnn and maskrcnn-v2"."""
        *others, last = self.names
        listed = f"{', '.join(others)} and {last}" if others else last
        return f"{self.kind.capitalize()}{'s' if others else ''} {listed}"


@dataclass(frozen=True, slots=True)
class Reference:
    """All there is to tell: commands, the options that all of them share, and `--opt`."""

    commands: tuple[Command, ...]
    shared: tuple[Parameter, ...]
    tables: tuple[Table, ...]


def read(app: typer.Typer, name: str = "magkit") -> Reference:
    """Return what is declared of an app's commands, hidden ones left out."""
    found = list(_walk(app, name))
    leaves = [command for command, is_leaf in found if is_leaf]
    common = set.intersection(*({option.names for option in leaf.options} for leaf in leaves))
    shared = tuple(option for option in leaves[0].options if option.names in common)
    help_ = Parameter(("--help",), "", "Show what a command does and takes, and exit.")
    commands = tuple(_without(command, common) for command, _ in found)
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


def _without(command: Command, shared: set[tuple[str, ...]]) -> Command:
    own = tuple(option for option in command.options if option.names not in shared)
    return Command(
        command.path, command.summary, command.details, command.arguments, own, command.usage
    )


def _declared(callback: Callable[..., Any]) -> Iterator[Parameter]:
    for parameter in inspect.signature(callback, eval_str=True).parameters.values():
        hint, info = _parts(parameter.annotation)
        if info is not None and not info.hidden:
            names = () if isinstance(info, ArgumentInfo) else _names(parameter.name, hint, info)
            value = info.metavar or _value(hint, parameter.name)
            text = _text(info, hint, parameter.default)
            yield Parameter(names, "" if hint is bool else value, text)


def _parts(annotation: Any) -> tuple[Any, ParameterInfo | None]:
    """Return a parameter's type, without `| None` and `list`, and what Typer was told of it."""
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
    return _VALUES.get(hint, name.upper())


def _text(info: ParameterInfo, hint: Any, default: Any) -> str:
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
    from magkit import builtin

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
