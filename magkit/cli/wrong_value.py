"""What an option's value is refused by, in magkit's words.

Typer has pydantic check values and hands on what it says of its own: "Input should be greater than
or equal to 1".
"""

from __future__ import annotations

from typing import Any

from magkit.cli.config import option_name
from magkit.errors import UsageError
from magkit.options import none_of

_ASKED = {"int": "a whole number", "float": "a number", "bool": "true or false"}
"""By what the names of pydantic's findings begin with: "int_parsing"."""

_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def explained(error: Exception) -> UsageError | None:
    """Says what is wrong with a value; None: the error isn't one of pydantic's about a value."""
    param, context = getattr(error, "param", None), getattr(error, "ctx", None)
    findings = getattr(error.__cause__, "errors", None)
    if param is None or context is None or findings is None:
        return None
    found = findings()[0]
    option, text = _called(param), str(found["input"])
    help_ = _origin(param, context) or f"see '{context.command_path} --help'"
    asked = _ASKED.get(found["type"].partition("_")[0]) or _bound(found.get("ctx", {}))
    if asked:
        return UsageError(f"{option} must be {asked}, not {text!r}", help_)
    choices = [str(item.value) for item in param.shell_complete(context, "")]
    if choices:
        return none_of(option, text, choices, help_)
    return UsageError(f"{option}: {found['msg'].removeprefix('Value error, ')}", help_)


def _origin(param: Any, context: Any) -> str:
    """Says where a value comes from that isn't on the command line."""
    source = getattr(context.get_parameter_source(param.name), "name", "")
    said = {"ENVIRONMENT": f"the variable {param.envvar}", "DEFAULT_MAP": "the --config file"}
    return f"{said[source]} says so" if source in said else ""


def _called(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"argument '{param.metavar or param.name}'"
    return f"option '--{option_name(param).replace('_', '-')}'"


def _bound(given: dict[str, Any]) -> str:
    return next((f"{words} {given[key]:g}" for key, words in _BOUNDS.items() if key in given), "")
