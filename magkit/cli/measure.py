"""`magkit measure`: displacement over time, its spectrum, and whether it is real."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magkit.cli.measure_options import (
    At,
    CaptureFps,
    End,
    Grid,
    ReadingName,
    Rois,
    Scale,
    Side,
    Start,
    Steady,
    UnitName,
    check_capture_fps,
    read_places,
    read_scale,
)
from magkit.cli.options import Overwrite
from magkit.cli.output import Output
from magkit.cli.tables import measure_table

if TYPE_CHECKING:
    from magkit.measure.result import MeasureResult


def measure(
    out: Output,
    clip: Annotated[Path, typer.Argument(help="Video file, animated image, or folder of frames.")],
    *,
    at: At = None,
    roi: Rois = None,
    grid: Grid = None,
    side: Side = 32,
    capture_fps: CaptureFps = None,
    scale: Scale = None,
    unit: UnitName = "px",
    reading: ReadingName = "peak",
    average: Annotated[
        int, typer.Option(min=1, help="Number of frames whose aligned mean is the reference.")
    ] = 16,
    steady: Steady = False,
    start: Start = None,
    end: End = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write .json (results), .csv (waveforms), .npz (everything), .uff (universal "
            "file, dataset 58), .png or .svg (plot); may be given again.",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure how regions of a clip move: displacement, spectrum, and whether it is real.

    Without --at, --roi and --grid, places with enough texture are chosen all over the picture.
    No network is used. What is below the detection limit is called noise.
    """
    read_scale(scale, unit)
    check_capture_fps(capture_fps)
    places, files = read_places(at, roi, grid), output or []

    from magkit.measure import api
    from magkit.measure.result import check_file

    for path in files:
        check_file(path, overwrite=overwrite)
    with out.progress(f"measuring {clip}") as progress:
        found = api.measure(
            clip,
            **places,
            side=side,
            capture_fps=capture_fps,
            scale=scale,
            unit=unit,
            reading=reading,
            average=average,
            steady=steady,
            start=start,
            end=end,
            progress=progress,
        )
    for path in files:
        found.save(path, overwrite=overwrite)
    record = found.to_dict()
    out.show(measure_table(record))
    for warning in found.warnings:
        out.warn(warning)
    out.finish(record, wrote=files, then=_next(clip, found, files))


def _next(clip: Path, found: MeasureResult, files: list[Path]) -> str:
    if found.band is not None:
        low, high = found.band
        return f"magkit magnify {clip} --band {low:.3g}-{high:.3g}"
    return "" if files else f"magkit measure {clip} -o plot.png draws waveforms and spectra"
