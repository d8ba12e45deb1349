"""Checks of any spec: that it imports nothing heavy, and that its options round-trip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields
from functools import partial
from typing import Any, get_type_hints

from magkit.errors import UsageError
from magkit.options import from_mapping, option_pairs, option_rows, parse_options, type_name
from magkit.specs import API, Spec
from magkit.testing.assertions import Check, require

# Slow to import, and listing, help and completion import every spec.
HEAVY = ("torch", "torchvision", "numpy", "scipy", "PIL", "safetensors")
SECONDS = 120  # for another Python to import a module
NONSENSE = "no such value"
EXTREMES = ("-1000000000", "-1", "0", "1", "1000000000")


def spec_checks(spec: Spec, options: Sequence[str]) -> list[Check]:
    """Return the checks of a spec: its texts, its module and its options."""
    return [
        Check("spec-is-light", partial(_light, spec)),
        Check("spec-is-told", partial(_described, spec)),
        Check("options-have-defaults-and-help", partial(_defaults, spec)),
        Check("options-are-texts", partial(_texts, spec, options)),
        Check("options-refuse-nonsense", partial(_refused, spec)),
    ]


def parse_config(spec: Spec, options: Sequence[str], below: Sequence[str] = ()) -> Any:
    """Return a plugin's configuration from `options` over those `below`, KEY=VALUE texts."""
    return parse_options(spec.config, [*below, *options], f"{spec.kind} '{spec.name}'")


def _described(spec: Spec) -> None:
    lines = spec.summary.splitlines()
    require(
        len(lines) == 1 and lines[0].strip(),
        f"the summary of '{spec.name}' is {spec.summary!r}; lists show one line: write one",
    )
    require(
        spec.api == API,
        f"'{spec.name}' is written for version {spec.api} of the plugin interface and this magkit"
        f" has {API}: adapt it, and leave api out of the spec or set it to {API}",
    )


def _light(spec: Spec) -> None:
    modules = sorted({spec.config.__module__, getattr(spec.build, "__module__", "builtins")})
    require(
        "__main__" not in modules,
        "the spec stands in a script, which nothing can import: put it into a module",
    )
    code = (
        f"import importlib, sys\nfor module in {modules!r}: importlib.import_module(module)\n"
        f"print(*(heavy for heavy in {HEAVY!r} if heavy in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    names = " and ".join(modules)
    require(
        done.returncode == 0,
        f"{names} can't be imported by a new Python ({_last_line(done.stderr)}): put the spec into"
        " a module of the installed package",
    )
    found = done.stdout.split()
    require(
        not found,
        f"importing {names} loads {', '.join(found)}, which makes every command of magkit slow:"
        " import them inside the functions that need them, and types under TYPE_CHECKING",
    )


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


def _defaults(spec: Spec) -> None:
    spec.config()
    for row in option_rows(spec.config):
        require(
            row.help,
            f"the option '{row.key}' says nothing of what it is:"
            ' give its field metadata={"help": "..."}',
        )


def _texts(spec: Spec, options: Sequence[str]) -> None:
    asked = parse_options(spec.config, options, spec.name)
    for config in (spec.config(), asked):
        values = asdict(config)
        texts = option_pairs(values)
        for how, again in (
            ("a KEY=VALUE text", partial(parse_options, spec.config, texts, spec.name)),
            ("JSON", partial(_through_json, spec.config, values)),
        ):
            _same(values, asdict(again()), how)


def _same(before: dict[str, Any], after: dict[str, Any], how: str) -> None:
    for key, value in before.items():
        require(
            after[key] == value,
            f"the option '{key}' is {value!r}, and {after[key]!r} once it was {how}:"
            " give its field a type of int, float, bool, str, Literal, tuple or X | None, and let"
            " __post_init__ change nothing",
        )


def _through_json(config: type[Any], values: dict[str, Any]) -> Any:
    return from_mapping(config, json.loads(json.dumps(values)), config.__name__)


def _refused(spec: Spec) -> None:
    for key, text, nonsense in _probes(spec.config):
        raised = _raised(partial(parse_options, spec.config, [f"{key}={text}"], spec.name))
        require(
            raised is None or isinstance(raised, UsageError),
            f"{key}={text} raises {type(raised).__name__} ({raised}): let __post_init__ raise a"
            " ValueError that says which values are allowed",
        )
        require(
            raised is not None or not nonsense,
            f"the option '{key}' takes {text!r}: give its field the type of its values",
        )


def _probes(config: type[Any]) -> Iterator[tuple[str, str, bool]]:
    """Yield an option, a text for it, and whether its type alone refuses the text."""
    hints = get_type_hints(config)
    for field in fields(config):
        words = type_name(hints[field.name]).replace(" or ", "|").replace(",", "|").split("|")
        if "str" not in words:
            yield field.name, NONSENSE, True
        if {"int", "float"} & set(words):
            yield from ((field.name, text, False) for text in EXTREMES)


def _raised(ask: Callable[[], object]) -> Exception | None:
    try:
        ask()
    except Exception as error:
        return error
    return None
