"""Settings from files and the environment, and the options that trainings share."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from magkit.cli.output import Output
from magkit.errors import UsageError, did_you_mean
from magkit.options import key_values, option_key, option_pairs
from magkit.runtime.text import read_toml


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


RunFolder = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="RUN", help="The run's folder; numbered, under runs/, if unset."
    ),
]
New = Annotated[
    bool, typer.Option("--new", help="Start a new run rather than go on with one that is there.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--train",
        metavar="KEY=VALUE",
        callback=merged_options,
        help="Any other setting, such as warmup=200 or clip=0.5; may be given again.",
    ),
]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard", help="Show curves in TensorBoard too: RUN/tensorboard.")
]
Steps = Annotated[
    int | None,
    typer.Option(help="Optimiser steps. More than a finished run has had train it further."),
]
TrainSeed = Annotated[int | None, typer.Option("--seed", min=0, help="Fixes every random draw.")]


@contextmanager
def hint_when_interrupted(out: Output) -> Iterator[None]:
    """Say how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        out.note("the same command goes on from the last checkpoint")
        raise


def let_workers_work() -> None:
    """Keep torch's threads from taking processors while they wait; before torch is imported."""
    # Threads of OpenMP that wait for one another spin by default, on the very processors that the
    # processes which prepare batches need. Read once, when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def given(train: list[str] | None, **flags: Any) -> dict[str, Any]:
    """Return settings: those of --train, and over them the flags that were given.

    Raises:
        UsageError: a text is not of the form KEY=VALUE.
    """
    return {**key_values(train or ()), **{key: v for key, v in flags.items() if v is not None}}


def metrics_table(metrics: dict[str, float], steps: int) -> Any:
    """Return what was measured over the last steps, as a table."""
    from rich.table import Table

    table = Table("term", "mean", title=f"the last steps of {steps}")
    for name, value in metrics.items():
        table.add_row(name, f"{value:.5f}")
    return table
