"""`magkit measure`: displacement over time, its spectrum, and whether it is real."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from magkit.cli.options import Overwrite
from magkit.cli.output import Output
from magkit.cli.tables import measure_table
from magkit.errors import MagkitError, UsageError

if TYPE_CHECKING:
    from magkit.measure.clip import Measurement
    from magkit.measure.regions import Region
    from magkit.video import VideoSource


def measure(
    out: Output,
    clip: Annotated[Path, typer.Argument(help="Video file, animated image, or folder of frames.")],
    *,
    at: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y", help="Measure around this pixel; may be given again."),
    ] = None,
    roi: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y,W,H", help="Measure this rectangle; may be given again."),
    ] = None,
    grid: Annotated[
        str | None,
        typer.Option(metavar="COLSxROWS", help="Measure equal rectangles that fill the frame."),
    ] = None,
    side: Annotated[
        int, typer.Option(min=8, help="Side of the square around a pixel of --at, in pixels.")
    ] = 32,
    capture_fps: Annotated[
        float | None,
        typer.Option(help="Frame rate at which the scene was captured, if the clip plays slower."),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(
            metavar="SCALE",
            help="Size of a pixel: two points and their distance, X1,Y1,X2,Y2=120mm, or 3.5px/mm.",
        ),
    ] = None,
    unit: Annotated[
        Literal["px", "um", "mm", "mil", "in", "mm/s", "in/s", "g"],
        typer.Option(help="Unit of amplitudes; waveforms are in the matching unit of length."),
    ] = "px",
    reading: Annotated[
        Literal["peak", "pp", "rms"],
        typer.Option(help="Amplitudes as peak, peak to peak, or root mean square."),
    ] = "peak",
    average: Annotated[
        int, typer.Option(min=1, help="Number of frames whose aligned mean is the reference.")
    ] = 16,
    steady: Annotated[
        bool, typer.Option("--steady", help="Take out the motion of the whole picture.")
    ] = False,
    start: Annotated[float | None, typer.Option(help="Begin at this time, in seconds.")] = None,
    end: Annotated[float | None, typer.Option(help="End before this time, in seconds.")] = None,
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
    from magkit.measure.units import check_unit, parse_scale

    size = None if scale is None else parse_scale(scale)
    check_unit(unit, size)
    if capture_fps is not None and not 0 < capture_fps < float("inf"):
        raise UsageError(f"the frame rate must be above 0, not {capture_fps:g}")
    files = output or []
    _check_files(files, overwrite)

    from magkit.measure.export import as_record
    from magkit.measure.read import measure_file
    from magkit.video import ReadOptions, open_video

    video = open_video(clip, ReadOptions(deep=True), start=start, end=end)
    regions = _regions(video, at or [], roi or [], grid, side)
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


def _regions(
    video: VideoSource, points: list[str], boxes: list[str], grid: str | None, side: int
) -> list[Region]:
    from magkit.measure import regions as places

    found = []
    for text in points:
        x, y = _numbers(text, 2, "--at X,Y")
        found.append(places.region_at(x, y, side))
    for text in boxes:
        left, top, width, height = _numbers(text, 4, "--roi X,Y,W,H")
        found.append(places.Region(left, top, width, height, text))
    if grid is not None:
        columns, rows = _numbers(grid.lower().replace("x", ","), 2, "--grid COLSxROWS, as 8x6")
        if columns < 1 or rows < 1:
            raise UsageError(f"'{grid}' is no grid", "--grid COLSxROWS, as 8x6")
        found += places.grid(video.info.height, video.info.width, columns, rows)
    for region in found:
        region.check(video.info.height, video.info.width)
    return found


def _numbers(text: str, count: int, form: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        raise UsageError(f"'{text}' is not {count} whole numbers", form)
    return numbers


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
    motions = [f.tone for r in found.regions for f in r.findings if f.cause == "motion"]
    if motions:
        tone = max(motions, key=lambda each: each.amplitude).frequency
        band = f"{tone * 0.9:.3g}-{tone * 1.1:.3g}"
        return f"magkit magnify {clip} --band {band}"
    return "" if files else f"magkit measure {clip} -o plot.png draws waveforms and spectra"
