"""`magkit adapt`: train a magnifier on in the clips that it is going to magnify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magkit.cli.command import hint_when_interrupted, make_idle_threads_sleep
from magkit.cli.options import (
    Device,
    MagnifierName,
    New,
    Opt,
    Overwrite,
    Settings,
    Threads,
    TrainSeed,
    WeightsFile,
    given_settings,
)
from magkit.cli.output import Output
from magkit.cli.tables import verdict_table
from magkit.errors import MagkitError

if TYPE_CHECKING:
    from magkit.adapt.verdict import Verdict

STEPS_A_MINUTE = 40


def adapt(
    out: Output,
    clips: Annotated[
        list[Path],
        typer.Argument(metavar="CLIP...", help="Videos, folders of frames, or folders of these."),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The adapted weights; in the run if unset."
        ),
    ] = None,
    minutes: Annotated[
        float,
        typer.Option(
            min=0.1,
            help=f"About how long to train: {STEPS_A_MINUTE} steps a minute, which two processor"
            " cores do.",
        ),
    ] = 10.0,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps, in place of --minutes.")] = None,
    magnifier: MagnifierName = "magnet-fast",
    weights: WeightsFile = None,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="A method that trains whole magnifiers.")
    ] = "warp",
    opt: Opt = None,
    train: Settings = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Run folder; a new numbered one in runs/ if unset."),
    ] = None,
    new: New = False,
    overwrite: Overwrite = False,
    seed: TrainSeed = None,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Data loader processes that make batches; 0: this process."),
    ] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Train a magnifier on in the clips that it is going to magnify, without labels.

    Frames of the clips, under known displacements, noise and coding, show it what is motion and
    what is not. The last fifth of every clip is kept out: on its frames the result is compared with
    the weights at the start, by how still parts of coded clips tremble and by the gain of known
    displacements. After an interruption, the same command resumes.
    """
    make_idle_threads_sleep()
    from magkit.adapt.adapt import AdaptJob
    from magkit.adapt.adapt import adapt as run_adaptation
    from magkit.runtime.device import resolve_device, set_threads
    from magkit.runtime.files import atomic_path

    if output is not None and output.exists() and not overwrite:
        raise MagkitError(f"{output} exists", "choose another, or add --overwrite")
    set_threads(threads)
    job = AdaptJob(
        clips=clips,
        steps=steps or max(round(minutes * STEPS_A_MINUTE), 1),
        method=method,
        options=opt or (),
        magnifier=magnifier,
        weights=weights,
        settings=given_settings(train, seed=seed),
    )
    with (
        out.progress("training", "steps") as progress,
        out.progress("judging", "measurements") as judging,
        hint_when_interrupted(out),
    ):
        found = run_adaptation(
            job,
            output=run,
            new=new,
            device=resolve_device(device),
            workers=workers,
            progress=progress,
            judging=judging,
        )
    result = found.training.run.model
    if output is not None:
        with atomic_path(output, overwrite=overwrite) as path:
            path.write_bytes(result.read_bytes())
        result = output
    out.show(verdict_table(found.verdict.as_dict()))
    out.finish(
        {
            "run": found.training.run.folder,
            "weights": result,
            "steps": found.training.steps,
            "continued_from": found.training.continued,
            "seconds": found.training.seconds,
            "verdict": found.verdict.as_dict(),
        },
        wrote=[result],
        then=_next(found.verdict, clips[0], magnifier, result),
    )


def _next(verdict: Verdict, clip: Path, magnifier: str, weights: Path) -> str:
    if verdict.judgement != "better":
        return f"magkit magnify {clip}, with the weights that ship: the new ones are no better"
    return f"magkit magnify {clip} --magnifier {magnifier} --weights {weights}"
