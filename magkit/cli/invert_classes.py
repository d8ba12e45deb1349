"""`magkit invert --classes`: pictures that a classifier takes for what it was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from magkit.cli.command import hint_when_interrupted
from magkit.cli.output import Output
from magkit.cli.tables import class_table
from magkit.cli.verifier import check_verifier
from magkit.errors import UsageError

if TYPE_CHECKING:
    import torch

    from magkit.invert.class_job import ClassesInverted, ClassJob
    from magkit.invert.class_judge import Judges
    from magkit.invert.class_plan import ClassPlan
    from magkit.invert.targets.load import TargetChoice

Classes = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Pictures of a classifier's classes, without masks: bird,ship, or all.",
    ),
]
PerClass = Annotated[
    int | None, typer.Option(min=1, help="Pictures of each of --classes; 10 if unset.")
]


def refuse_what_masks_need(**flags: Any) -> None:
    """Refuse options that say something of masks, beside --classes.

    Raises:
        UsageError: one was given.
    """
    for name, value in flags.items():
        if value:
            raise UsageError(
                f"--classes asks for pictures without masks: --{name} has no meaning there",
                f"leave out --{name}, or --classes",
            )


def class_job(
    classes: str,
    per_class: int | None,
    targets: Sequence[TargetChoice],
    preset: str | None,
    settings: Mapping[str, Any],
) -> ClassJob:
    """Return what flags ask for, with defaults for those that were not given."""
    from magkit.invert.class_job import PER_CLASS, PRESET, ClassJob

    return ClassJob(
        targets=targets,
        classes=classes,
        per_class=per_class or PER_CLASS,
        preset=preset or PRESET,
        settings=settings,
    )


def run_classes(
    out: Output, job: ClassJob, verifier: TargetChoice | None, how: Mapping[str, Any]
) -> None:
    """Make the pictures of a job, and judge them when all of them are there.

    Args:
        out: where words go.
        job: what is made.
        verifier: who looks at the pictures beside the targets.
        how: output, new, share, device and snapshots, as `invert_classes` takes them.
    """
    from magkit.invert.class_job import invert_classes

    if verifier:
        check_verifier(out, verifier, job.targets, how["device"])
    with out.progress("inverting", "steps") as progress, hint_when_interrupted(out):
        done = invert_classes(job, **how, verifier=verifier, progress=progress)
    report = _reported(out, job, done, verifier, how["device"]) if done.whole else None
    files = "".join(f" --weights {each.weights}" for each in job.targets if each.weights)
    _finish(out, done, report, str(how["share"]), files)


def _reported(
    out: Output,
    job: ClassJob,
    done: ClassesInverted,
    verifier: TargetChoice | None,
    device: torch.device,
) -> dict[str, Any] | None:
    """Judge the pictures, unless another process is at it."""
    from magkit.invert.class_judge import class_judges
    from magkit.invert.class_report import write_class_report
    from magkit.invert.report import JudgingError

    judges = class_judges(job.targets, verifier, device)
    warn_of_unknown_classes(out, judges, done.plan)
    try:
        with out.progress("judging", "pictures") as progress:
            return write_class_report(done.run, done.plan, judges, device, progress)
    except JudgingError as error:
        out.note(f"{error.message}: it writes the report")
        return None


def warn_of_unknown_classes(out: Output, judges: Judges, plan: ClassPlan) -> None:
    """Say which classes the verifier doesn't know: it has no say about them."""
    from magkit.invert.class_judge import knows_class

    if "verifier" in judges:
        judge = judges["verifier"]
        unknown = [label for label in plan.labels if not knows_class(judge, label)]
        if unknown:
            out.warn(f"'{judge.name}' knows no {', '.join(unknown)}: it can't verify them")


def _finish(
    out: Output,
    done: ClassesInverted,
    report: dict[str, Any] | None,
    share: str,
    weights: str,
) -> None:
    run = done.run.folder
    if report is not None:
        out.show(class_table(report))
    step = f"look at {run / 'contact.png'}"
    if not done.whole:
        step = "the other shares; the one that ends last writes the report"
    elif report is None:
        step = f"look at {run / 'contact.png'} when it is there"
    elif report["verifier"]:
        step += f": '{report['verifier']}' sees something else in what is framed red"
    else:
        step = (
            f"magkit evaluate inversion {run}{weights} --verifier NAME: what another network sees"
        )
    out.finish(
        {
            "run": run,
            "classes": list(done.plan.labels),
            "pictures": done.pictures,
            "share": share,
            "whole": done.whole,
            "seconds": done.seconds,
            "mean": report and report["mean"],
            "report": run / "report.json" if report else None,
        },
        wrote=[run, *([run / "contact.png"] if report else [])],
        then=step,
    )
