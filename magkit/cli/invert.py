"""`magkit invert`: pictures and videos that a trained network takes for what it was asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from magkit.cli.command import hint_when_interrupted
from magkit.cli.options import Device, New, Opt, RunFolder, Threads, given_settings
from magkit.cli.output import Output
from magkit.cli.parameters import merged_options
from magkit.cli.tables import class_table, inversion_table
from magkit.cli.verifier import (
    NO_VERIFIER,
    VerifierOpt,
    VerifierWeights,
    load_verifier,
    parse_verifier,
    warn_of_verifier,
)
from magkit.errors import UsageError
from magkit.invert import DEFAULT_TARGET, DEFAULT_VERIFIER

if TYPE_CHECKING:
    import torch

    from magkit.invert.job import ClassJob, Inverted, Job
    from magkit.invert.judge import Judges
    from magkit.invert.plan import ClassPlan, ClipPlan
    from magkit.invert.targets.load import TargetChoice
    from magkit.training.run import Run

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
        help=f"The network to invert; {DEFAULT_TARGET} if unset. Several targets are optimised"
        " for together, with these weights.",
    ),
]
Verifier = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help=f"A network that judges the result and was not optimised for, or {NO_VERIFIER}. Unset:"
        f" {DEFAULT_VERIFIER}, or {NO_VERIFIER} with --classes.",
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
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Pictures of a classifier's classes, without masks: bird,ship, or all.",
        ),
    ] = None,
    per_class: Annotated[
        int | None, typer.Option(min=1, help="Pictures of each of --classes; 10 if unset.")
    ] = None,
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
    from magkit.invert.job import ClassJob, Job
    from magkit.invert.settings import parse_sweep, read_tables
    from magkit.invert.targets.load import parse_targets
    from magkit.runtime.device import resolve_device, set_threads
    from magkit.runtime.shard import launched_shard, parse_shard

    set_threads(threads)
    targets = parse_targets(target or [DEFAULT_TARGET], weights or [], opt or [])
    flags = {"iterations": iterations, "lr": lr, "var_l1": var_l1, "var_l2": var_l2}
    flags |= {"l2_norm": l2_norm, "bn": bn, "size": size, "seed": seed}
    own, place = given_settings(settings, **flags), local_device(resolve_device(device))
    run: dict[str, Any] = {"output": output, "new": new, "snapshots": snapshots, "device": place}
    run["share"] = parse_shard(shard) if shard else launched_shard()
    name = verifier or (DEFAULT_VERIFIER if classes is None else NO_VERIFIER)
    choice = parse_verifier(name, verifier_weights, verifier_opt)
    if classes is None:
        if per_class is not None:
            raise UsageError("--per-class belongs to --classes", "such as --classes all")
        job: Job | ClassJob = Job(
            videos=video or (),
            masks=masks,
            davis=davis,
            frames=frames or "all",
            classes=object_class or (),
            targets=targets,
            preset=preset or "fast",
            settings=own,
            tables=read_tables(tables) if tables else {},
            sweep=parse_sweep(sweep or ()),
        )
    else:
        of_masks = {"video": video, "masks": masks, "frames": frames, "class": object_class}
        _refuse_mask_options(**of_masks, tables=tables, sweep=sweep)
        job = ClassJob(
            targets=targets,
            classes=classes,
            per_class=per_class or 10,
            preset=preset or "classes",
            settings=own,
        )
    _run(out, job, choice, run)


def _refuse_mask_options(**flags: Any) -> None:
    """Refuse options of masks beside --classes.

    Raises:
        UsageError: one was given.
    """
    for name, value in flags.items():
        if value:
            raise UsageError(
                f"--classes asks for pictures without masks: --{name} has no meaning there",
                f"leave out --{name}, or --classes",
            )


def _run(
    out: Output, job: Job | ClassJob, choice: TargetChoice | None, run: dict[str, Any]
) -> None:
    """Make a job's images, and judge them once all exist; `run`: as `magkit.invert.job.invert`."""
    from magkit.invert.job import ClassJob, invert
    from magkit.invert.judge import Judges

    of_classes = isinstance(job, ClassJob)
    verifier = load_verifier(out, choice, job.targets, run["device"])
    unit = ["steps"] if of_classes else []
    with out.progress("inverting", *unit) as progress, hint_when_interrupted(out):
        done: Any = invert(job, **run, verifier=verifier, progress=progress)
    report = None
    if done.complete and (verifier or of_classes):
        report = _judge(out, done, Judges(done.targets, verifier, run["device"]))
    weights = "".join(f" --weights {each.weights}" for each in job.targets if each.weights)
    _finish(out, done, report, str(run["share"]), weights)


def local_device(device: torch.device) -> torch.device:
    """Return this process' own GPU if torchrun started a process for each."""
    import torch

    if device.type == "cuda" and device.index is None and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device


def _judge(out: Output, done: Inverted[Any], judges: Judges) -> dict[str, Any] | None:
    """Judge the images, unless another process does."""
    from magkit.invert.report import JudgingError

    try:
        return judge(out, done.run, done.plans, judges)
    except JudgingError as error:
        out.note(f"{error.message}: it writes the report")
        return None


def judge(
    out: Output, run: Run, plans: Sequence[ClipPlan] | Sequence[ClassPlan], judges: Judges
) -> dict[str, Any]:
    """Judge a job's images, and show the table of the report."""
    from magkit.invert.plan import ClassPlan
    from magkit.invert.report import write_report

    of_classes = isinstance(plans[0], ClassPlan)
    warn_of_verifier(out, judges, plans)
    with out.progress("judging", *(["pictures"] if of_classes else [])) as progress:
        report = write_report(run, plans, judges, progress)
    out.show(class_table(report) if of_classes else inversion_table(report))
    return report


def _finish(
    out: Output, done: Inverted[Any], report: dict[str, Any] | None, share: str, weights: str
) -> None:
    from magkit.invert.plan import ClassPlan

    run, first = done.run.folder, done.plans[0]
    if not done.complete:
        step = "the other shares; the one that ends last writes the report"
    elif not isinstance(first, ClassPlan):
        step = f"magkit stitch {run / first.name}"
    elif report is None:
        step = f"look at {run / 'contact.png'} when it is there"
    elif report["verifier"]:
        step = f"look at {run / 'contact.png'}: '{report['verifier']}' sees something else in what"
        step += " is framed red"
    else:
        step = f"magkit evaluate inversion {run}{weights} --verifier NAME"
        step += ": what another network sees"
    made = (
        {"classes": list(first.labels), "pictures": done.written}
        if isinstance(first, ClassPlan)
        else {"clips": [plan.name for plan in done.plans], "frames": done.written}
    )
    out.finish(
        {
            "run": run,
            **made,
            "share": share,
            "whole": done.complete,
            "seconds": done.seconds,
            "mean": report and report["mean"],
            "report": run / "report.json" if report else None,
        },
        wrote=[run, *([run / "contact.png"] if report else [])],
        then=step,
    )
