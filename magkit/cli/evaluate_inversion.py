"""`magkit evaluate inversion`: how good the frames of a job are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from magkit.cli.common import Device, Threads
from magkit.cli.inversion_tables import inversion_table
from magkit.cli.invert import (
    VERIFIER,
    Davis,
    VerifierWeights,
    check_verifier,
    warn_of_classes,
)
from magkit.cli.output import Output


def inversion(
    out: Output,
    job: Annotated[Path, typer.Argument(metavar="RUN", help="What magkit invert wrote.")],
    *,
    verifier: Annotated[
        str, typer.Option(metavar="NAME", help="Who looks at the frames and took no part.")
    ] = VERIFIER,
    verifier_weights: VerifierWeights = None,
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
    targets and by a verifier that took no part.
    """
    from magkit.invert.reopen import reopened
    from magkit.invert.report import judges_of, write_report
    from magkit.invert.targets.choice import TargetChoice
    from magkit.runtime.device import resolve_device, set_threads

    set_threads(threads)
    run, plans, targets = reopened(job, davis, weights or ())
    looker, place = TargetChoice(verifier, weights=verifier_weights), resolve_device(device)
    check_verifier(out, looker, targets, place)
    judges = judges_of(targets, looker, place)
    warn_of_classes(out, judges, plans)
    with out.progress("judging") as progress:
        report = write_report(run, plans, judges, progress)
    out.show(inversion_table(report))
    out.finish(report, wrote=[run.folder / "report.json", run.folder / "contact.png"])
