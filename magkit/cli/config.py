"""`--config FILE.toml`: what flags would say, below the environment and the flags themselves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import typer

from magkit.errors import UsageError, did_you_mean
from magkit.options import option_key, option_pairs
from magkit.runtime.text_file import read_toml


def read_config(context: typer.Context, path: Path | None) -> None:
    """Makes a file's keys the defaults of the command: its options' names, without the dashes.

    Options that may be given again take a list; `opt` may also be a table of keys and values.

    Raises:
        UsageError: The file can't be read, isn't TOML, or has a key that isn't an option.
    """
    if path is None or context.resilient_parsing:
        return
    table = {option_key(key): value for key, value in read_toml(path).items()}
    options = {
        option_name(param): param
        for param in context.command.params
        if param.param_type_name == "option" and param.name not in ("config", "help")
    }
    for key in table:
        if key not in options:
            known = did_you_mean(key, [name.replace("_", "-") for name in options])
            raise UsageError(f"'{path}': {context.info_name} has no option '{key}'", known)
    context.default_map = {
        str(options[key].name): _flag_value(path, key, value, many=options[key].multiple)
        for key, value in table.items()
    }


def option_name(param: Any) -> str:
    """An option as its flag spells it, `class` of --class, whatever its parameter is called."""
    flag = next((opt for opt in param.opts if opt.startswith("--")), param.name)
    return str(flag).removeprefix("--").replace("-", "_")


def merged_options(
    context: typer.Context, param: typer.CallbackParam, pairs: list[str] | None
) -> list[str]:
    """The file's KEY=VALUE and then the flags', so that a flag changes one and leaves the rest."""
    from_file = (context.default_map or {}).get(str(param.name)) or []
    return [*from_file, *(pairs or [])]


def _flag_value(path: Path, key: str, value: Any, *, many: bool) -> Any:
    """What the command line would have handed on: texts, which are then checked as flags are."""
    if many:
        if isinstance(value, dict):
            return option_pairs(value)
        return [str(item) for item in (value if isinstance(value, list) else [value])]
    if isinstance(value, list | dict):
        raise UsageError(f"'{path}': '{key}' takes one value, not {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"'{path}': '{key}' must be a number, not {value}")
    return value if isinstance(value, bool) else str(value)
