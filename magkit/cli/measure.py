"""`magkit measure`: displacement over time, its spectrum, and whether it is real."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    read_regions,
    read_scale,
)
from magkit.cli.options import Overwrite
from magkit.cli.output import Output
from magkit.cli.tables import measure_table
from magkit.errors import MagkitError, UsageError

if TYPE_CHECKING:
    from magkit.measure.clip import Measurement
    from magkit.video import VideoSource


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
    size = read_scale(scale, unit)
    check_capture_fps(capture_fps)
    files = output or []
    _check_files(files, overwrite)

    from magkit.measure.export import as_record
    from magkit.measure.read import measure_file
    from magkit.video import ReadOptions, open_video

    video = open_video(clip, ReadOptions(deep=True), start=start, end=end)
    regions = read_regions(video, at or [], roi or [], grid, side)
    with out.progress(f"measuring {clip}") as progress:
        found = measure_file(
            video,
            regions,
            capture_rate=capture_fps,
            average=average,
            steady=steady,
            progress=progress,
        )
    record = {"clip": str(clip), **as_record(found, unit, size, reading)}
    for path in files:
        _write(path, found, record, video, overwrite)
    out.show(measure_table(record))
    for warning in found.warnings:
        out.warn(warning)
    out.finish(record, wrote=files, then=_next(clip, found, files))


def _check_files(files: list[Path], overwrite: bool) -> None:
    """Refuse files of an unknown kind, or that exist, before anything is measured."""
    from magkit.measure.export import FORMATS

    for path in files:
        if path.suffix.lower() not in FORMATS:
            raise UsageError(f"{path} must end in one of {', '.join(FORMATS)}")
        if path.exists() and not overwrite:
            raise MagkitError(f"{path} exists", "--overwrite replaces it")
        if path.suffix.lower() in {".png", ".svg"}:
            from magkit.video.charts import load_matplotlib

            load_matplotlib()


def _write(
    path: Path, found: Measurement, record: dict[str, Any], video: VideoSource, overwrite: bool
) -> None:
    import json

    from magkit.measure import export
    from magkit.runtime.files import atomic_path

    unit, scale, kind = record["unit"], record["mm_per_px"], path.suffix.lower()
    if kind in {".png", ".svg"}:
        from magkit.measure.plots import save_plot

        save_plot(found, next(iter(video)), path, unit, scale, overwrite=overwrite)
        return
    if kind == ".npz":
        data = export.as_npz(found, record)
    elif kind == ".json":
        data = (json.dumps(record, indent=2) + "\n").encode()
    else:
        write = export.as_csv if kind == ".csv" else export.as_universal_file
        data = write(found, unit, scale).encode()
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(data)


def _next(clip: Path, found: Measurement, files: list[Path]) -> str:
    if strongest := found.strongest():
        low, high = found.band_around(strongest[1].tone.frequency)
        return f"magkit magnify {clip} --band {low:.3g}-{high:.3g}"
    return "" if files else f"magkit measure {clip} -o plot.png draws waveforms and spectra"
