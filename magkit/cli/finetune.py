"""`magkit finetune`: train a magnifier on scenes with known motion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from magkit.cli.command import hint_when_interrupted, launch_processes, make_idle_threads_sleep
from magkit.cli.options import (
    Device,
    Devices,
    Images,
    MagnifierName,
    New,
    ObjectImages,
    Objects,
    Opt,
    Procedural,
    RunFolder,
    Settings,
    Steps,
    TensorBoard,
    Threads,
    TrainSeed,
    given_settings,
)
from magkit.cli.output import Output
from magkit.cli.tables import encoder_table, metrics_table


def finetune(
    out: Output,
    *,
    magnifier: MagnifierName = "magnet-fast",
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="PATH|URL",
            help="A data set to train on, in place of scenes rendered on the fly.",
        ),
    ] = None,
    images: Images = None,
    objects: Objects = None,
    object_images: ObjectImages = None,
    procedural: Procedural = 0,
    steps: Steps = None,
    batch: Annotated[
        int | None, typer.Option(help="Batch size in scenes, over all processes.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Side of a scene, in pixels.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
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
        typer.Option(metavar="STEPS", help="Freeze the encoder for this many steps at the start."),
    ] = None,
    encoder_lr: Annotated[
        float | None,
        typer.Option(
            metavar="FACTOR", help="Encoder's learning rate, relative to that of the rest."
        ),
    ] = None,
    opt: Opt = None,
    half: Annotated[
        bool, typer.Option("--half", help="Write the weights in half precision.")
    ] = False,
    output: RunFolder = None,
    new: New = False,
    tensorboard: TensorBoard = False,
    seed: TrainSeed = None,
    devices: Devices = 1,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Data loader processes that render scenes; 0: this process."),
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Train a magnifier on scenes whose motion is known exactly.

    What is not given comes from the magnifier's preset. Of a data set's scenes, --size is the side
    of the window that is trained on.

    After an interruption, the same command resumes from the last checkpoint; after the end, the
    command with more --steps continues the run.
    """
    make_idle_threads_sleep()
    is_first = launch_processes(out, devices)
    from magkit.finetune.finetune import FinetuneJob
    from magkit.finetune.finetune import finetune as run_training
    from magkit.runtime.device import resolve_device, set_threads
    from magkit.runtime.distributed import process_group

    set_threads(threads)
    flags = {"steps": steps, "batch": batch, "size": size, "lr": lr, "seed": seed}
    job = FinetuneJob(
        magnifier=magnifier,
        options=opt or (),
        settings=given_settings(train, **flags, freeze=freeze, encoder_lr=encoder_lr),
        data=data,
        images=images or (),
        objects=objects or (),
        object_images=object_images,
        procedural=procedural,
        weights=weights,
        encoder=encoder,
        half=half,
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
    if outcome.encoder is not None:
        out.show(encoder_table(outcome.encoder.as_dict()))
    out.show(metrics_table(outcome.metrics, outcome.steps))
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
