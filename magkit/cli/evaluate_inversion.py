"""`magkit evaluate inversion`: judges the results of an inversion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from magkit.cli.invert import Davis, judge
from magkit.cli.options import Device, Threads
from magkit.cli.output import Output
from magkit.cli.verifier import (
    NO_VERIFIER,
    TargetWeights,
    VerifierOpt,
    VerifierWeights,
    load_verifier,
    parse_verifier,
)
from magkit.errors import MagkitError, UsageError
from magkit.invert import DEFAULT_VERIFIER
from magkit.runtime.text import read_json_object

if TYPE_CHECKING:
    from rich.table import Table

    from magkit.invert.plan import ClipPlan
    from magkit.invert.targets.load import LoadedTarget


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
    weights: TargetWeights = None,
    nearest: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Pictures that the target was trained on: which are the nearest?"
        ),
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Similar ones that it was not trained on, to compare."),
    ] = None,
    davis: Davis = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Judge the results of an inversion and compare them with controls.

    The judges are the targets and a verifier that was not optimised for. For frames, the report
    gives the DAVIS measures J and F of their full detection, without given boxes; for pictures of
    classes, the fraction that each judge classifies as requested.

    --nearest finds the training picture nearest to each frame, by features of the verifier and by
    pixels. With --held-out, it says whether training pictures are nearer to the frames than others.
    """
    from magkit.invert.judge import Judges
    from magkit.invert.load_job import load_job
    from magkit.invert.plan import ClassPlan, ClipPlan
    from magkit.invert.targets.load import load_target
    from magkit.runtime.device import resolve_device, set_threads

    if held_out is not None and nearest is None:
        raise UsageError("--held-out is compared with --nearest, which is missing")
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
    if nearest is not None:
        clips = [plan for plan in plans if isinstance(plan, ClipPlan)]
        if loaded is None or not clips:
            raise UsageError(
                "--nearest compares the frames of masks by a verifier", "--verifier NAME"
            )
        found = _nearest(out, job, clips, loaded, nearest, held_out)
        out.finish(found, wrote=[job / "nearest.json", job / "nearest.png"])
        return
    judges = Judges([load_target(each, torch_device) for each in targets], loaded, torch_device)
    report = judge(out, run, plans, judges)
    out.finish(report, wrote=[job / "report.json", job / "contact.png"])


def _nearest(
    out: Output,
    job: Path,
    plans: Sequence[ClipPlan],
    judge: LoadedTarget,
    members: Path,
    others: Path | None,
) -> dict[str, Any]:
    """Write which training pictures are the nearest to a job's frames, and say it."""
    from magkit.invert import nearest
    from magkit.runtime.files import write_json

    def described(folder: Path) -> nearest.Described:
        with out.progress(f"describing {folder}", "pictures") as progress:
            return nearest.describe_folder(folder, plans[0].size, judge, progress)

    with out.progress("describing the frames") as progress:
        frames = nearest.describe_frames(plans, job, judge, progress)
    trained_on = described(members)
    held_out = None if others is None else described(others)
    controls = {} if others is None else nearest.describe_controls(plans, judge)
    found = {"verifier": judge.name, **nearest.compare(frames, trained_on, held_out, controls)}
    found["verdict"] = nearest.verdict(found)
    write_json(job / "nearest.json", found)
    nearest.write_sheet(job / "nearest.png", frames, trained_on)
    out.show(nearest_table(found))
    out.note(found["verdict"])
    return found


def nearest_table(found: Mapping[str, Any]) -> Table:
    """The nearest training picture of each frame, by features and by pixels."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("frame", overflow="fold")
    for kind in ("features", "pixels"):
        table.add_column(f"nearest by {kind}", overflow="fold")
        table.add_column("distance", justify="right")
        if "others" in found:
            table.add_column("of others", justify="right")
    for row in found["frames"]:
        cells = [row["frame"]]
        for kind in ("features", "pixels"):
            own = row[kind]
            cells += [own["nearest"], f"{own['distance']:.3f}"]
            cells += [f"{own['others']:.3f}"] if "others" in own else []
        table.add_row(*cells)
    return table


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
