"""`magkit evaluate inversion`: how good the frames of a job are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from magkit.cli.invert import (
    Davis,
    VerifierOpt,
    VerifierWeights,
    warn_of_classes,
)
from magkit.cli.invert_classes import warn_of_unknown_classes
from magkit.cli.options import Device, Threads
from magkit.cli.output import Output
from magkit.cli.tables import class_table, inversion_table
from magkit.cli.verifier import NOBODY, check_verifier, chosen_verifier
from magkit.errors import MagkitError, UsageError
from magkit.invert import DEFAULT_VERIFIER
from magkit.runtime.text import read_json_object

if TYPE_CHECKING:
    import torch

    from magkit.invert.targets.load import TargetChoice


def inversion(
    out: Output,
    job: Annotated[Path, typer.Argument(metavar="RUN", help="What magkit invert wrote.")],
    *,
    verifier: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"Who looks at the frames and took no part; {DEFAULT_VERIFIER} if unset. Of"
            " classes: nobody if unset.",
        ),
    ] = None,
    verifier_weights: VerifierWeights = None,
    verifier_opt: VerifierOpt = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="The targets' weights, if they don't ship."),
    ] = None,
    davis: Davis = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Judge the frames of an inversion, beside controls that need none.

    J and F are DAVIS' measures of what full detection finds without being told where, by the
    targets and by a verifier that took no part. Of pictures of classes: which part of them each
    takes for what was asked.
    """
    from magkit.invert.load_job import holds_classes
    from magkit.runtime.device import resolve_device, set_threads

    set_threads(threads)
    classes, place = holds_classes(job), resolve_device(device)
    name = verifier or (NOBODY if classes else DEFAULT_VERIFIER)
    looker = chosen_verifier(name, verifier_weights, verifier_opt)
    if classes:
        if verifier is None:
            _keep_verified(job)
        report = _classes(out, job, weights or (), looker, place)
    elif looker is None:
        raise UsageError("frames are judged by a verifier", "leave out --verifier, or name one")
    else:
        report = _frames(out, job, weights or (), looker, davis, place)
    out.finish(report, wrote=[job / "report.json", job / "contact.png"])


def _keep_verified(job: Path) -> None:
    """Refuse to replace what a verifier said by what the target says of itself."""
    path = job / "report.json"
    if not path.is_file():
        return
    hint = "--verifier none writes it anew, without one"
    report = read_json_object(path, hint)
    said = report.get("verifier")
    if "verifier" not in report or not isinstance(said, str | None):
        raise MagkitError(f"{path} doesn't say who verified what is in it", hint)
    if said:
        raise UsageError(
            f"{path} says what the verifier '{said}' sees, which would be lost",
            f"--verifier {said} --verifier-weights FILE; --verifier none writes it without one",
        )


def _frames(
    out: Output,
    job: Path,
    weights: Sequence[Path],
    verifier: TargetChoice,
    davis: Path | None,
    device: torch.device,
) -> dict[str, Any]:
    from magkit.invert.load_job import load_job
    from magkit.invert.report import judges_of, write_report

    run, plans, targets = load_job(job, davis, weights)
    check_verifier(out, verifier, targets, device)
    judges = judges_of(targets, verifier, device)
    warn_of_classes(out, judges, plans)
    with out.progress("judging") as progress:
        report = write_report(run, plans, judges, progress)
    out.show(inversion_table(report))
    return report


def _classes(
    out: Output,
    job: Path,
    weights: Sequence[Path],
    verifier: TargetChoice | None,
    device: torch.device,
) -> dict[str, Any]:
    from magkit.invert.class_judge import class_judges
    from magkit.invert.class_report import write_class_report
    from magkit.invert.load_job import load_class_job

    run, plan, targets = load_class_job(job, weights)
    if verifier:
        check_verifier(out, verifier, targets, device)
    judges = class_judges(targets, verifier, device)
    warn_of_unknown_classes(out, judges, plan)
    with out.progress("judging", "pictures") as progress:
        report = write_class_report(run, plan, judges, device, progress)
    out.show(class_table(report))
    return report
