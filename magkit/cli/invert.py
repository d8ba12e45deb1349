"""`magkit invert`: pictures and videos that a trained network takes for what it was asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from magkit.cli.command import hint_when_interrupted
from magkit.cli.invert_classes import (
    Classes,
    PerClass,
    class_job,
    refuse_what_masks_need,
    run_classes,
)
from magkit.cli.options import Device, New, Opt, RunFolder, Threads, given_settings
from magkit.cli.output import Output
from magkit.cli.parameters import merged_options
from magkit.cli.tables import inversion_table
from magkit.cli.verifier import NOBODY, check_verifier, chosen_verifier
from magkit.errors import UsageError
from magkit.invert import DEFAULT_TARGET, DEFAULT_VERIFIER

if TYPE_CHECKING:
    import torch

    from magkit.invert.job import Inverted, Job
    from magkit.invert.judge import Judges
    from magkit.invert.plan import ClipPlan
    from magkit.invert.targets.load import TargetChoice

Videos = Annotated[
    list[str] | None,
    typer.Option("--video", metavar="NAME", help="A video of DAVIS, or all; may be given again."),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="NAME[=WEIGHT]",
        is_eager=True,
        help=f"What is inverted: {DEFAULT_TARGET} unless told otherwise; several at a time share"
        " the picture, by their weights.",
    ),
]
Verifier = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"Who looks at the result and took no part; {NOBODY}: nobody. Unset:"
        f" {DEFAULT_VERIFIER}, or nobody with --classes.",
    ),
]
VerifierWeights = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Its weights; those that ship if unset.")
]
VerifierOpt = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE", callback=merged_options, help="An option of it; may be given again."
    ),
]
Davis = Annotated[
    Path | None,
    typer.Option(metavar="ROOT", help="DAVIS; MAGKIT_DAVIS, ./DAVIS, ./data/DAVIS if unset."),
]


def invert(
    out: Output,
    *,
    video: Videos = None,
    masks: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder of masks in place of DAVIS.")
    ] = None,
    davis: Davis = None,
    frames: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="all, first, 0-9 or 0,5: which frames; all if unset."),
    ] = None,
    object_class: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="What the objects are to be seen as; for each object, or once for all; any"
            " leaves it to the target. Unset: what DAVIS' videos show.",
        ),
    ] = None,
    classes: Classes = None,
    per_class: PerClass = None,
    target: Targets = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Weights for each target, in their order."),
    ] = None,
    opt: Opt = None,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="fast, or thesis: as it was published. Unset: fast, or classes with --classes.",
        ),
    ] = None,
    iterations: Annotated[
        int | None, typer.Option(help="Steps of a picture that starts from noise.")
    ] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    var_l1: Annotated[
        float | None, typer.Option(help="Weight of the total variation by absolute values.")
    ] = None,
    var_l2: Annotated[
        float | None, typer.Option(help="Weight of the total variation by Euclidean norms.")
    ] = None,
    l2_norm: Annotated[float | None, typer.Option(help="Weight of the picture's norm.")] = None,
    bn: Annotated[
        float | None, typer.Option(help="Weight of the distance from the layers' statistics.")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            help="Height of the result in pixels; 0: the masks' own, or the classifier's."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            callback=merged_options,
            help="Any other setting, such as keyframe=8; may be given again.",
        ),
    ] = None,
    tables: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Settings of single videos and frames."),
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=A,B,...",
            help="Every value in turn, a folder each; may be given again: every combination.",
        ),
    ] = None,
    verifier: Verifier = None,
    verifier_weights: VerifierWeights = None,
    verifier_opt: VerifierOpt = None,
    snapshots: Annotated[
        int, typer.Option(min=0, help="Keep a picture every so many steps; 0: none.")
    ] = 0,
    output: RunFolder = None,
    new: New = False,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Only the I-th of N shares of the work, from 1."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Fixes every random draw.")] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Optimise noise until a network sees in it what the masks say, or a class.

    Stopped at any time, the same command goes on. What is made lies in RUN/VIDEO/frames, or in
    RUN/classes/CLASS; RUN's report says what the target and an independent network find in it.
    """
    from magkit.invert.job import Job
    from magkit.invert.settings import read_tables, swept
    from magkit.invert.targets.load import parse_targets
    from magkit.runtime.device import resolve_device, set_threads
    from magkit.runtime.shard import launched_shard, parse_shard

    set_threads(threads)
    chosen = parse_targets(target or [DEFAULT_TARGET], weights or [], opt or [])
    flags = {"iterations": iterations, "lr": lr, "var_l1": var_l1, "var_l2": var_l2}
    flags |= {"l2_norm": l2_norm, "bn": bn, "size": size, "seed": seed}
    own = given_settings(settings, **flags)
    place = own_device(resolve_device(device))
    how: dict[str, Any] = {"output": output, "new": new, "snapshots": snapshots, "device": place}
    how["share"] = parse_shard(shard) if shard else launched_shard()
    name = verifier or (DEFAULT_VERIFIER if classes is None else NOBODY)
    seen_by = chosen_verifier(name, verifier_weights, verifier_opt)
    if classes is not None:
        masked = {"video": video, "masks": masks, "frames": frames, "class": object_class}
        refuse_what_masks_need(**masked, tables=tables, sweep=sweep)
        run_classes(out, class_job(classes, per_class, chosen, preset, own), seen_by, how)
        return
    if per_class is not None:
        raise UsageError("--per-class belongs to --classes", "such as --classes all")
    job = Job(
        videos=video or (),
        masks=masks,
        davis=davis,
        frames=frames or "all",
        classes=object_class or (),
        targets=chosen,
        preset=preset or "fast",
        settings=own,
        tables=read_tables(tables) if tables else {},
        sweep=swept(sweep or ()),
    )
    run_masks(out, job, seen_by, how)


def run_masks(out: Output, job: Job, verifier: TargetChoice | None, how: Mapping[str, Any]) -> None:
    """Make the frames of a job, and judge them when all of them are there.

    Args:
        out: where words go.
        job: what is made.
        verifier: who looks at the frames; None: nobody.
        how: output, new, share, device and snapshots, as `magkit.invert.job.invert` takes them.
    """
    from magkit.invert.job import invert as make

    if verifier:
        check_verifier(out, verifier, job.targets, how["device"])
    with out.progress("inverting") as progress, hint_when_interrupted(out):
        done = make(job, **how, progress=progress)
    report = None
    if done.whole and verifier:
        report = _reported(out, job, done, verifier, how["device"])
    _finish(out, done, report, str(how["share"]))


def own_device(device: torch.device) -> torch.device:
    """Return the GPU of this process, where torchrun started one for each."""
    import torch

    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device


def _reported(
    out: Output, job: Job, done: Inverted, verifier: TargetChoice, device: torch.device
) -> dict[str, Any] | None:
    """Judge the frames, unless another process is at it."""
    from magkit.invert.report import JudgingError, judges_of, write_report

    judges = judges_of(job.targets, verifier, device)
    warn_of_classes(out, judges, done.plans)
    try:
        with out.progress("judging") as progress:
            return write_report(done.run, done.plans, judges, progress)
    except JudgingError as error:
        out.note(f"{error.message}: it writes the report")
        return None


def warn_of_classes(out: Output, judges: Judges, plans: Sequence[ClipPlan]) -> None:
    """Say what the verifier can't: which classes it doesn't know, or where anything is."""
    from magkit.invert.judge import knows, shows_no_masks

    if shows_no_masks(judges.verifier, plans[0].size, judges.device):
        out.warn(f"'{judges.verifier.name}' names classes and shows no masks: its J and F are 0")
    asked = dict.fromkeys(label for plan in plans for label in plan.classes)
    unknown = [label for label in asked if not knows(judges.verifier, label)]
    if unknown:
        out.warn(f"'{judges.verifier.name}' knows no {', '.join(unknown)}: it can't verify them")


def _finish(out: Output, done: Inverted, report: dict[str, Any] | None, share: str) -> None:
    run, names = done.run.folder, [plan.name for plan in done.plans]
    if report is not None:
        out.show(inversion_table(report))
    steps = f"magkit stitch {run / names[0]}"
    if not done.whole:
        steps = "the other shares; the one that ends last writes the report"
    out.finish(
        {
            "run": run,
            "clips": names,
            "frames": done.frames,
            "share": share,
            "whole": done.whole,
            "seconds": done.seconds,
            "mean": report and report["mean"],
            "report": run / "report.json" if report else None,
        },
        wrote=[run, *([run / "contact.png"] if report else [])],
        then=steps,
    )
