"""The commands as a completion script knows them, read from the application itself."""

from __future__ import annotations

import re
from typing import Any

import typer

from magkit.cli.config import option_name
from magkit.completion.kinds import argument_values, option_values
from magkit.completion.tree import Argument, Command, Option, Values


def command_tree() -> Command:
    """The program with all its commands, but for those that are hidden."""
    from magkit.cli.app import app  # which holds the command that asks for this

    return _command(typer.main.get_command(app), ())


def _command(command: Any, path: tuple[str, ...]) -> Command:
    context = typer.Context(command)
    params = [p for p in command.get_params(context) if not getattr(p, "hidden", False)]
    options = [p for p in params if p.param_type_name == "option"]
    defaults = {f"--{_dashed(p)}": str(p.default or "") for p in options}
    return Command(
        path,
        _summary(command.get_short_help_str(1000)),
        tuple(_option(context, path, p, defaults) for p in options),
        tuple(_argument(context, p) for p in params if p.param_type_name == "argument"),
        tuple(
            _command(child, (*path, name))
            for name, child in getattr(command, "commands", {}).items()
            if not child.hidden
        ),
    )


def _option(
    context: typer.Context, path: tuple[str, ...], param: Any, defaults: dict[str, str]
) -> Option:
    # Long spellings first: they say more.
    flags = tuple(sorted([*param.opts, *param.secondary_opts], key=lambda flag: flag[:2] != "--"))
    values = None
    if not param.is_flag:
        values = _choices(context, param) or option_values(
            path, f"--{_dashed(param)}", param.metavar or "", defaults
        )
    return Option(flags, _summary(param.help or ""), values, bool(param.multiple))


def _argument(context: typer.Context, param: Any) -> Argument:
    name = (param.metavar or param.name).removesuffix("...")
    values = _choices(context, param) or argument_values(name)
    return Argument(name, values, param.nargs == -1)


def _choices(context: typer.Context, param: Any) -> Values | None:
    words = tuple(str(item.value) for item in param.shell_complete(context, "") if item.value)
    return Values(words) if words else None


def _dashed(param: Any) -> str:
    return option_name(param).replace("_", "-")


def _summary(text: str) -> str:
    """The first statement of a help text, on one line."""
    first = re.split(r"[;:.](?:\s|$)", " ".join(text.split()), maxsplit=1)[0]
    return first.removesuffix("...")
