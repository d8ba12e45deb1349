"""`magkit evaluate student`: networks trained on inverted frames, tested on real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from magkit.cli.invert import Davis
from magkit.cli.options import Device, Threads
from magkit.cli.output import Output
from magkit.cli.verifier import TargetWeights

if TYPE_CHECKING:
    from rich.table import Table


def student(
    out: Output,
    jobs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs of magkit invert.")],
    *,
    unrelated: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Photographs, labelled by the target, to compare with."),
    ] = None,
    labels: Annotated[
        Literal["hard", "target"],
        typer.Option(help="Of inverted frames: the masks asked for, or what the target sees."),
    ] = "hard",
    seeds: Annotated[int, typer.Option(min=1, help="Students of each kind.")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Training steps of each.")] = 400,
    batch: Annotated[int, typer.Option(min=1, help="Pictures a step.")] = 8,
    rows: Annotated[int, typer.Option(min=32, help="Height of a picture, pixels.")] = 128,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder of the results; RUN/student if unset."
        ),
    ] = None,
    weights: TargetWeights = None,
    davis: Davis = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Train small networks on inverted frames, and test them on real frames.

    A student of another design than the target learns to segment the run's classes, from random
    weights. It is tested on real frames that no inversion was asked for: other frames of the same
    videos, and other videos of the same classes. Others are trained alike on as many real frames,
    real objects on a texture, flat masks, noise, and photographs labelled by the target. Several
    runs are compared with one another. The same command continues after an interruption.
    """
    from magkit.invert.davis import find_davis
    from magkit.options import from_mapping
    from magkit.runtime.device import resolve_device, set_threads
    from magkit.runtime.files import write_json
    from magkit.student.arms import StudentJob, prepare
    from magkit.student.experiment import run_experiment
    from magkit.student.train import StudentConfig

    set_threads(threads)
    where = resolve_device(device)
    settings = {"steps": steps, "batch": batch, "rows": rows}
    config = from_mapping(StudentConfig, settings, "students")
    asked = StudentJob(
        runs=jobs, davis=find_davis(davis), weights=weights or (), unrelated=unrelated,
        soft=labels == "target", config=config, seeds=seeds,
    )  # fmt: skip
    folder = output or jobs[0] / "student"
    with out.progress("labelling photographs", "photographs") as progress:
        experiment = prepare(asked, where, progress)
    with out.progress("training students", "steps") as progress:
        report = run_experiment(experiment, folder, where, progress)
    report = {"runs": [str(job) for job in jobs], "labels": labels, **report}
    write_json(folder / "report.json", report, allow_nan=False)
    out.show(student_table(report))
    out.finish(report, wrote=[folder / "report.json"])


def student_table(report: Mapping[str, Any]) -> Table:
    """J of each kind of student on each kind of real frames."""
    from rich import box
    from rich.table import Table

    tests, videos = report["tests"], report["videos"]
    title = (
        f"J on {tests['same']} other frames of the same videos ({videos['same']})"
        f" and {tests['other']} of other videos ({videos['other']})"
    )
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("trained on", overflow="fold")
    for name in ("same videos", "other videos", "all", "of real, 95 %", "first ahead by, 95 %"):
        table.add_column(name, justify="right")
    for row in report["arms"]:
        figures = [f"{row[part]['J']:.3f}" if part in row else "" for part in ("same", "other")]
        whole = row["all"]
        table.add_row(
            f"{row['arm']} ({row['pictures']})",
            *figures,
            f"{whole['J']:.3f}",
            _interval(whole.get("over_real")),
            _interval(whole.get("first_ahead_by")),
        )
    return table


def _interval(values: Sequence[float] | None) -> str:
    if values is None:
        return ""
    value, low, high = values
    return f"{value:.2f} ({low:.2f} to {high:.2f})"
