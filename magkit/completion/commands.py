"""The tree of commands as tables for completion, and the kind of value that an option takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from magkit.invert import ANY, CLASSES, DEFAULT_TARGET, DEFAULT_VERIFIER
from magkit.invert.settings import PRESETS


class Values(TypedDict, total=False):
    """The values of one option or argument; everything named is offered together.

    Attributes:
        words: Fixed values.
        ask: A kind of `magkit.completion.values.KINDS` and its arguments.
        paths: Paths that are offered.
    """

    words: list[str]
    ask: list[str]
    paths: Literal["files", "folders"]


class Option(TypedDict):
    """An option: its flags, long ones first, and its values; None: it takes no value."""

    flags: list[str]
    help: str
    values: Values | None
    repeats: bool


class Argument(TypedDict):
    """A positional argument; the last of a command may repeat."""

    name: str
    values: Values
    repeats: bool


class Command(TypedDict):
    """A command, or a group with its commands by name."""

    help: str
    options: list[Option]
    arguments: list[Argument]
    commands: dict[str, Command]


BY_FLAG: dict[str, Values] = {
    "--against": {"ask": ["magnifiers"]},
    "--backbone": {"words": ["resnet18", "resnet34", "resnet50"]},
    "--branch": {"words": ["both", "motion", "texture"]},
    "--class": {"words": [ANY, *CLASSES]},
    "--classes": {"words": ["all"]},
    "--device": {"words": ["auto", "cpu", "cuda", "mps"]},
    "--frames": {"words": ["all", "first"]},
    "--magnifier": {"ask": ["magnifiers"]},
    "--method": {"ask": ["methods"]},
    "--set": {"ask": ["settings", "invert"]},
    "--sweep": {"ask": ["settings", "invert"]},
    "--target": {"ask": ["targets"]},
    "--verifier": {"words": ["none"], "ask": ["targets"]},
    "--video": {"words": ["all"], "ask": ["videos"]},
}
BY_METAVAR: dict[str, Values] = {
    "MODULE:FACTORY": {},
    "NAME|FILE": {"ask": ["weights"], "paths": "files"},
    "NAME|RUN|FILE": {"ask": ["weights"], "paths": "files"},
    "RUN|FILE": {"ask": ["runs", "pretrain"], "paths": "files"},
}
OWNERS = {
    "--magnifier-opt": ("magnifier", "--magnifier"),
    "--verifier-opt": ("target", "--verifier"),
}
"""Whose options a flag other than --opt takes: a kind, and the flag that names one."""

KINDS = ("method", "target", "magnifier")
"""Kinds whose options --opt takes; a command's first counts."""

DEFAULTS = {"--target": DEFAULT_TARGET, "--verifier": DEFAULT_VERIFIER}
"""Values that the commands use where these flags are left out."""


def command_tree(command: Any, name: str = "magkit") -> Command:
    """Returns the tables of a command of Typer and of all below it, without hidden ones."""
    context = command.context_class(command)
    params = [p for p in command.get_params(context) if not getattr(p, "hidden", False)]
    options = [p for p in params if p.param_type_name == "option"]
    defaults = {_flags(p)[0]: str(p.default or "") for p in options}
    return {
        "help": _summary(command.get_short_help_str(1000)),
        "options": [_option(context, name, p, defaults) for p in options],
        "arguments": [_argument(context, p) for p in params if p not in options],
        "commands": {
            key: command_tree(child, key)
            for key, child in getattr(command, "commands", {}).items()
            if not child.hidden
        },
    }


def option_values(command: str, flag: str, metavar: str, defaults: Mapping[str, str]) -> Values:
    """Returns the values of an option.

    Args:
        command: The last word of its command.
        flag: Such as "--video".
        metavar: The value's name in help; "" for numbers.
        defaults: The defaults of all options of the command by their flags; "" for none.
    """
    if flag == "--opt":
        kinds = [kind for kind in KINDS if f"--{kind}" in defaults]
        return _options(kinds[0], f"--{kinds[0]}", defaults) if kinds else {}
    if flag in OWNERS:
        return _options(*OWNERS[flag], defaults)
    if flag == "--preset":
        in_methods = "--method" in defaults
        return {"ask": ["presets", "--method"]} if in_methods else {"words": [*PRESETS]}
    if flag == "--train":
        return {"ask": ["settings", command]}
    if metavar and flag in BY_FLAG and metavar not in BY_METAVAR:
        return BY_FLAG[flag]
    return _by_metavar(metavar)


def argument_values(metavar: str) -> Values:
    """Returns the values of an argument that help calls `metavar`."""
    if metavar == "RUN":
        return {"ask": ["runs", "invert"], "paths": "folders"}
    return _by_metavar(metavar)


def _options(kind: str, flag: str, defaults: Mapping[str, str]) -> Values:
    default = defaults.get(flag) or DEFAULTS.get(flag)
    return {"ask": ["options", kind, flag, *([default] if default else [])]}


def _by_metavar(metavar: str) -> Values:
    if metavar in BY_METAVAR:
        return BY_METAVAR[metavar]
    if any(word in metavar for word in ("FILE", "PATH", "SRC", "INPUT")):
        return {"paths": "files"}
    folders = any(word in metavar for word in ("DIR", "ROOT", "RUN"))
    return {"paths": "folders"} if folders else {}


def _option(context: Any, command: str, param: Any, defaults: dict[str, str]) -> Option:
    flags = _flags(param)
    values = None
    if not param.is_flag:
        values = _choices(context, param) or option_values(
            command, flags[0], param.metavar or "", defaults
        )
    return {
        "flags": flags,
        "help": _summary(param.help or ""),
        "values": values,
        "repeats": bool(param.multiple),
    }


def _argument(context: Any, param: Any) -> Argument:
    name = (param.metavar or param.name).removesuffix("...")
    values = _choices(context, param) or argument_values(name)
    return {"name": name, "values": values, "repeats": param.nargs == -1}


def _choices(context: Any, param: Any) -> Values:
    words = [str(item.value) for item in param.shell_complete(context, "") if item.value]
    return {"words": words} if words else {}


def _flags(param: Any) -> list[str]:
    return sorted([*param.opts, *param.secondary_opts], key=lambda flag: flag[:2] != "--")


def _summary(text: str) -> str:
    """The first statement of a help text, on one line."""
    first = re.split(r"[;:.](?:\s|$)", " ".join(text.split()), maxsplit=1)[0]
    return first.removesuffix("...")
