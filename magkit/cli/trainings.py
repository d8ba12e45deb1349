"""What commands that train have in common."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from magkit.cli.config import merged_options
from magkit.cli.output import Output
from magkit.options import key_values

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
