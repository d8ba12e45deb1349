"""`magkit pretrain`: train an encoder or a magnifier without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from magkit.cli.command import hint_when_interrupted, launch_processes, make_idle_threads_sleep
from magkit.cli.options import (
    Device,
    Devices,
    MagnifierName,
    New,
    Opt,
    Probe,
    RunFolder,
    Settings,
    Steps,
    TensorBoard,
    Threads,
    TrainSeed,
    given_settings,
)
from magkit.cli.output import Output
from magkit.cli.parameters import merged_options
from magkit.cli.tables import metrics_table

if TYPE_CHECKING:
    from magkit.training.run import Run

Method = Annotated[
    str,
    typer.Option(
        "--method", metavar="NAME", is_eager=True, help="The method: moco, byol, scrl, warp, ..."
    ),
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
        typer.Option(metavar="NAME", help="Preset of the settings: small (the default) or paper."),
    ] = None,
    magnifier: MagnifierName = "magnet-fast",
    magnifier_opt: NetworkOpt = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|MODULE:FACTORY",
            help="An encoder in place of a magnifier's: resnet18, 34 or 50; or your own, whose"
            " module is imported.",
        ),
    ] = None,
    branch: Annotated[
        str, typer.Option(metavar="NAME", help="Branches to train: texture, motion or both.")
    ] = "both",
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH|URL",
            help="Images, videos or a data set, may be given again; what gen-data wrote, or new"
            " scenes, if unset.",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Start from these weights of the magnifier, if the method trains all of it.",
        ),
    ] = None,
    scenes: Annotated[
        int, typer.Option(min=2, help="Number of scenes rendered where there are no data.")
    ] = 1000,
    probe: Probe = None,
    steps: Steps = None,
    batch: Annotated[
        int | None, typer.Option(help="Batch size in frames, over all processes.")
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
    devices: Devices = 1,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Data loader processes that read frames; 0: this process."),
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Train a magnifier's encoder on frames without labels, or all of it on clips.

    After an interruption, the same command resumes from the last checkpoint; after the end, the
    command with more --steps continues the run. `magkit finetune --encoder RUN` trains a magnifier
    from an encoder. The method warp trains a whole magnifier, for `magkit magnify --weights FILE`.
    """
    make_idle_threads_sleep()
    is_first = launch_processes(out, devices)
    from magkit.runtime.device import resolve_device, set_threads
    from magkit.runtime.distributed import process_group
    from magkit.selfsup.job import PretrainJob
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
        weights=weights,
        scenes=scenes,
        settings=given_settings(train, steps=steps, batch=batch, size=size, lr=lr, seed=seed),
        probe=probe,
    )
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
    if not is_first:
        return
    out.show(metrics_table(outcome.metrics, outcome.steps))
    out.finish(
        {
            "run": outcome.run.folder,
            _result(method): outcome.run.model,
            "steps": outcome.steps,
            "continued_from": outcome.continued,
            "seconds": outcome.seconds,
            "metrics": outcome.metrics,
        },
        wrote=[outcome.run.folder],
        then=_next(method, magnifier, backbone, outcome.run),
    )


def _result(method: str) -> str:
    """Return the name of what a method trains in the report: "encoder" or "weights"."""
    from magkit.plugins import registry

    return "encoder" if registry().method(method).trains == "encoder" else "weights"


def _next(method: str, magnifier: str, backbone: str | None, run: Run) -> str:
    if _result(method) == "weights":
        return f"magkit magnify CLIP --magnifier {magnifier} --weights {run.model}"
    if backbone:
        own = f" --backbone {backbone}" if ":" in backbone else ""
        return f"magkit evaluate encoder {run.folder}{own}"
    return f"magkit finetune --encoder {run.folder} --magnifier {magnifier}"
