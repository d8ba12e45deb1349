"""`magkit evaluate inversion`: judges the results of an inversion."""

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
    job: Annotated[Path, typer.Argument(metavar="RUN", help="A run of magkit invert.")],
    *,
    verifier: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A network that judges the results and was not optimised for;"
            f" {DEFAULT_VERIFIER} if unset, or {NO_VERIFIER} for pictures of classes.",
        ),
    ] = None,
    verifier_weights: VerifierWeights = None,
    verifier_opt: VerifierOpt = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Weights of the targets, if not the included ones."),
    ] = None,
    davis: Davis = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Judge the results of an inversion and compare them with controls.

    The judges are the targets and a verifier that was not optimised for. For frames, the report
    gives the DAVIS measures J and F of their full detection, without given boxes; for pictures of
    classes, the fraction that each judge classifies as requested.
    """
    from magkit.invert.judge import Judges
    from magkit.invert.load_job import load_job
    from magkit.invert.plan import ClassPlan
    from magkit.invert.targets.load import load_target
    from magkit.runtime.device import resolve_device, set_threads

    set_threads(threads)
    torch_device = resolve_device(device)
    run, plans, targets = load_job(job, davis, weights or ())
    of_classes = isinstance(plans[0], ClassPlan)
    name = verifier or (NO_VERIFIER if of_classes else DEFAULT_VERIFIER)
    choice = parse_verifier(name, verifier_weights, verifier_opt)
    if of_classes and verifier is None:
        _protect_verified_report(job)
    if not of_classes and choice is None:
        raise UsageError("frames are judged by a verifier", "leave out --verifier, or name one")
    loaded = load_verifier(out, choice, targets, torch_device)
    judges = Judges([load_target(each, torch_device) for each in targets], loaded, torch_device)
    report = judge(out, run, plans, judges)
    out.finish(report, wrote=[job / "report.json", job / "contact.png"])


def _protect_verified_report(job: Path) -> None:
    """Refuse to replace a report that has a verifier's results by one without them."""
    path = job / "report.json"
    if not path.is_file():
        return
    hint = "--verifier none replaces it by a report without a verifier"
    report = read_json_object(path, hint)
    name = report.get("verifier")
    if "verifier" not in report or not isinstance(name, str | None):
        raise MagkitError(f"{path} doesn't name its verifier", hint)
    if name:
        raise UsageError(
            f"{path} has results of the verifier '{name}', which would be lost",
            f"--verifier {name} --verifier-weights FILE; --verifier none discards them",
        )
