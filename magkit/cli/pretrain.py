"""`magkit pretrain`: train an encoder without labels."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from magkit.cli.common import Device, MagnifierName, Opt, Threads
from magkit.cli.config import (
    New,
    RunFolder,
    Settings,
    Steps,
    TensorBoard,
    TrainSeed,
    given,
    hint_when_interrupted,
    let_workers_work,
    merged_options,
    metrics_table,
)
from magkit.cli.output import Output
from magkit.errors import UsageError

Method = Annotated[
    str, typer.Option("--method", metavar="NAME", is_eager=True, help="moco, byol, scrl, ...")
]
NetworkOpt = Annotated[
    list[str] | None,
    typer.Option(
        "--magnifier-opt",
        metavar="KEY=VALUE",
        callback=merged_options,
        help="An option of the magnifier, such as width=32; may be given again.",
    ),
]


def pretrain(
    out: Output,
    *,
    method: Method,
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="small (the default) or paper: values to start from."),
    ] = None,
    magnifier: MagnifierName = "magnet-fast",
    magnifier_opt: NetworkOpt = None,
    backbone: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="resnet18, 34 or 50 in place of a magnifier."),
    ] = None,
    branch: Annotated[
        str, typer.Option(metavar="NAME", help="texture, motion or both: what is trained.")
    ] = "both",
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|URL",
            help="Pictures, videos or a data set; unset: what gen-data wrote, or scenes made here.",
        ),
    ] = None,
    scenes: Annotated[
        int, typer.Option(min=2, help="How many scenes are made where there are no data.")
    ] = 1000,
    steps: Steps = None,
    batch: Annotated[
        int | None, typer.Option(help="Frames a step, of all processes together.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Side of a view in pixels.")] = None,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate for 256 frames; scaled to the batch.")
    ] = None,
    train: Settings = None,
    opt: Opt = None,
    output: RunFolder = None,
    new: New = False,
    tensorboard: TensorBoard = False,
    seed: TrainSeed = None,
    devices: Annotated[
        int, typer.Option(min=1, help="Processes, each with a device of its own.")
    ] = 1,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that read frames; 0: this one.")
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Train a magnifier's encoder on frames without labels.

    Stopped at any time, the same command goes on from the last checkpoint. Once it has ended, the
    command with more --steps goes on from there. `magkit finetune --encoder RUN` trains a magnifier
    from the result.
    """
    let_workers_work()
    if devices > 1:
        _start(devices)
    from magkit.runtime.device import resolve_device, set_threads
    from magkit.runtime.distributed import process_group
    from magkit.runtime.shard import launched_shard
    from magkit.selfsup.pretrain import PretrainJob
    from magkit.selfsup.pretrain import pretrain as run_training

    set_threads(threads)
    job = PretrainJob(
        method=method,
        options=opt or (),
        preset=preset,
        magnifier=magnifier,
        magnifier_options=magnifier_opt or (),
        backbone=backbone,
        branch=branch,
        data=data,
        scenes=scenes,
        settings=given(train, steps=steps, batch=batch, size=size, lr=lr, seed=seed),
    )
    speaks = launched_shard().number == 1
    if not speaks:
        out.mute()
    with (
        process_group(resolve_device(device)) as where,
        out.progress("training", "steps") as progress,
        hint_when_interrupted(out),
    ):
        outcome = run_training(
            job,
            output=output,
            new=new,
            device=where,
            workers=workers,
            progress=progress,
            tensorboard=tensorboard,
        )
    if not speaks:
        return
    out.show(metrics_table(outcome.metrics, outcome.steps))
    out.finish(
        {
            "run": outcome.run.folder,
            "encoder": outcome.run.model,
            "steps": outcome.steps,
            "continued_from": outcome.continued,
            "seconds": outcome.seconds,
            "metrics": outcome.metrics,
        },
        wrote=[outcome.run.folder],
        then=_next(magnifier, backbone, str(outcome.run.folder)),
    )


def _start(devices: int) -> None:
    """Run this very command in several processes, and end as they do.

    Raises:
        UsageError: this is one of several processes already.
    """
    from magkit.runtime.distributed import launch

    if "RANK" in os.environ:
        raise UsageError("torchrun started this process: --devices is for a command by itself")
    # Of a flag that is given twice the last counts, and a flag outdoes file and environment.
    raise typer.Exit(launch(devices, [*sys.argv[1:], "--devices", "1"]))


def _next(magnifier: str, backbone: str | None, run: str) -> str:
    if backbone:
        return f"magkit evaluate encoder {run}"
    return f"magkit finetune --encoder {run} --magnifier {magnifier}"
