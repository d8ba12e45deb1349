"""`magkit finetune`: train a magnifier on scenes with known motion."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from magkit.cli.common import (
    Device,
    Images,
    MagnifierName,
    ObjectImages,
    Objects,
    Opt,
    Procedural,
    Threads,
)
from magkit.cli.config import merged_options
from magkit.cli.encoder_tables import encoder_table
from magkit.cli.output import Output

RunFolder = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="RUN", help="The run's folder; numbered, under runs/, if unset."
    ),
]
New = Annotated[
    bool, typer.Option("--new", help="Start a new run rather than go on with an unfinished one.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--train",
        metavar="KEY=VALUE",
        callback=merged_options,
        help="Any other setting, such as warmup=200 or factors=2,100; may be given again.",
    ),
]


def finetune(
    out: Output,
    *,
    magnifier: MagnifierName = "magnet-fast",
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="PATH|URL",
            help="A data set to train on, in place of scenes made on the way.",
        ),
    ] = None,
    images: Images = None,
    objects: Objects = None,
    object_images: ObjectImages = None,
    procedural: Procedural = 0,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    batch: Annotated[int | None, typer.Option(help="Scenes a step.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of a scene in pixels.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate of Adam.")] = None,
    train: Settings = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Start from these weights.")
    ] = None,
    encoder: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN|FILE", help="Start from this encoder, as magkit pretrain made it."
        ),
    ] = None,
    freeze: Annotated[
        int | None,
        typer.Option(
            metavar="STEPS", help="Keep the encoder as it is for so many steps at the start."
        ),
    ] = None,
    encoder_lr: Annotated[
        float | None,
        typer.Option(metavar="FACTOR", help="The encoder's learning rate over that of the rest."),
    ] = None,
    opt: Opt = None,
    half: Annotated[bool, typer.Option("--half", help="Write the result in 16 bits.")] = False,
    output: RunFolder = None,
    new: New = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Fixes every random draw.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that render scenes; 0: this one.")
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Train a magnifier on scenes whose motion is known exactly.

    What is not given comes from the magnifier's preset. Of a data set's scenes, --size is the side
    of the window that is trained on.

    Stopped at any time, the same command goes on from the last checkpoint.
    """
    _let_workers_work()
    from magkit.finetune.finetune import Job
    from magkit.finetune.finetune import finetune as run_training
    from magkit.runtime.device import resolve_device, set_threads

    set_threads(threads)
    asked = {"steps": steps, "batch": batch, "size": size, "lr": lr, "seed": seed}
    asked |= {"freeze": freeze, "encoder_lr": encoder_lr}
    job = Job(
        magnifier=magnifier,
        options=opt or (),
        settings={**_pairs(train), **{k: v for k, v in asked.items() if v is not None}},
        data=data,
        images=images or (),
        objects=objects or (),
        object_images=object_images,
        procedural=procedural,
        weights=weights,
        encoder=encoder,
        half=half,
    )
    with out.progress("training", "steps") as progress, _hint_when_interrupted(out):
        outcome = run_training(
            job,
            output=output,
            new=new,
            device=resolve_device(device),
            workers=workers,
            progress=progress,
            note=out.note,
        )
    if outcome.encoder is not None:
        out.show(encoder_table(outcome.encoder.as_dict()))
    out.show(_table(outcome.metrics, outcome.steps))
    out.finish(
        {
            "run": outcome.run.folder,
            "weights": outcome.run.model,
            "steps": outcome.steps,
            "continued_from": outcome.continued,
            "seconds": outcome.seconds,
            "metrics": outcome.metrics,
            "encoder": outcome.encoder and outcome.encoder.as_dict(),
        },
        wrote=[outcome.run.model],
        then=f"magkit magnify CLIP --magnifier {magnifier} --weights {outcome.run.model}",
    )


@contextmanager
def _hint_when_interrupted(out: Output) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        out.note("the same command goes on from the last checkpoint")
        raise


def _let_workers_work() -> None:
    # Threads of OpenMP that wait for one another spin by default, on the very processors that the
    # processes which render scenes need. Read once, when torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def _pairs(texts: list[str] | None) -> dict[str, str]:
    from magkit.errors import UsageError

    found = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"'{text}' is not of the form KEY=VALUE")
        found[key.strip().replace("-", "_")] = value.strip()
    return found


def _table(metrics: dict[str, float], steps: int) -> Any:
    from rich.table import Table

    table = Table("term", "mean", title=f"the last steps of {steps}")
    for name, value in metrics.items():
        table.add_row(name, f"{value:.5f}")
    return table
