"""`magkit evaluate inversion`: how good the frames of a job are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from magkit.cli.invert import Davis, judge
from magkit.cli.options import Device, Threads
from magkit.cli.output import Output
from magkit.cli.verifier import (
    NO_VERIFIER,
    VerifierOpt,
    VerifierWeights,
    load_verifier,
    parse_verifier,
)
from magkit.errors import MagkitError, UsageError
from magkit.invert import DEFAULT_VERIFIER
from magkit.runtime.text import read_json_object


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
    from magkit.invert.judge import Judges
    from magkit.invert.load_job import load_job
    from magkit.invert.plan import ClassPlan
    from magkit.invert.targets.load import load_target
    from magkit.runtime.device import resolve_device, set_threads

    set_threads(threads)
    place = resolve_device(device)
    run, plans, targets = load_job(job, davis, weights or ())
    of_classes = isinstance(plans[0], ClassPlan)
    name = verifier or (NO_VERIFIER if of_classes else DEFAULT_VERIFIER)
    choice = parse_verifier(name, verifier_weights, verifier_opt)
    if of_classes and verifier is None:
        _keep_verified(job)
    if not of_classes and choice is None:
        raise UsageError("frames are judged by a verifier", "leave out --verifier, or name one")
    loaded = load_verifier(out, choice, targets, place)
    judges = Judges([load_target(each, place) for each in targets], loaded, place)
    report = judge(out, run, plans, judges)
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
