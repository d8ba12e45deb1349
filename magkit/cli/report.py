"""`magkit report`: a page about a vibration, with the magnified clip beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from magkit.cli.controls import Bands
from magkit.cli.magnify import FACTOR
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
from magkit.cli.options import Device, MagnifierName, Overwrite, Threads, WeightsFile
from magkit.cli.output import Output
from magkit.runtime.files import fitted

ReportFolder = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        help="The folder for the results. Unset: here, CLIP's name and -report.",
    ),
]
ReportFactor = Annotated[
    float, typer.Option("--factor", "-f", help="Magnification factor, 0 to 300.")
]


def report(
    out: Output,
    clip: Annotated[Path, typer.Argument(help="Video file, animated image, or folder of frames.")],
    *,
    output: ReportFolder = None,
    at: At = None,
    roi: Rois = None,
    grid: Grid = None,
    side: Side = 32,
    capture_fps: CaptureFps = None,
    scale: Scale = None,
    unit: UnitName = "px",
    reading: ReadingName = "peak",
    steady: Steady = False,
    start: Start = None,
    end: End = None,
    factor: ReportFactor = FACTOR,
    band: Bands = None,
    magnifier: MagnifierName = "magnet-fast",
    weights: WeightsFile = None,
    device: Device = "auto",
    threads: Threads = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure a vibration, magnify it, measure it again, and write a page about it.

    Writes index.html, magnified.mp4 and measurement.json. The clip is magnified in --band, or
    around its strongest motion; if nothing is above the detection limit, it is not magnified.
    """
    from magkit.magnify.band import check_request, parse_bands

    settings = {
        "at": at,
        "roi": roi,
        "grid": grid,
        "side": side,
        "capture-fps": capture_fps,
        "scale": scale,
        "unit": unit,
        "reading": reading,
        "steady": steady,
        "start": start,
        "end": end,
        "factor": factor,
        "band": band,
        "magnifier": magnifier,
        "weights": weights,
    }
    size = read_scale(scale, unit)
    check_capture_fps(capture_fps)
    places = read_places(at, roi, grid)
    bands = parse_bands(band or [])
    check_request(factor, "static", bands)
    folder = output or _folder(clip)

    from magkit.measure.regions import named_places
    from magkit.video import ReadOptions, open_video
    from magkit.video.charts import load_matplotlib

    load_matplotlib()
    video = open_video(clip, ReadOptions(deep=True), start=start, end=end)
    for each in bands:
        each.check_rate(video.info.rate if capture_fps is None else capture_fps)
    size_HW = video.info.height, video.info.width
    regions = named_places(size_HW, places["at"], places["roi"], places["grid"], side)

    from magkit.evaluate.report import FILES, Request, check_report_folder, write_report
    from magkit.magnify.load import load_magnifier
    from magkit.runtime.device import resolve_device, set_threads

    check_report_folder(folder, clip, overwrite=overwrite)
    set_threads(threads)
    place = resolve_device(device)
    model = load_magnifier(magnifier, weights, (), place)
    request = Request(
        regions=tuple(regions),
        capture_rate=capture_fps,
        unit=unit,
        scale=size,
        reading=reading,
        steady=steady,
        factor=factor,
        bands=bands,
    )
    with out.progress(f"report on {clip}") as progress:
        record = write_report(
            video,
            folder,
            model,
            request,
            settings={**settings, "device": str(place)},
            device=place,
            overwrite=overwrite,
            progress=progress,
        )
    out.show(_summary(record))
    for warning in record["warnings"]:
        out.warn(warning)
    written = [folder / name for name in FILES if (folder / name).exists()]
    out.finish(
        {"output": folder, "files": written, **record},
        wrote=written,
        then=f"open {written[0]} in a browser",
    )


def _folder(clip: Path) -> Path:
    path = clip.resolve()
    return Path(fitted(path.name if path.is_dir() else path.stem, "-report"))


def _summary(record: dict[str, Any]) -> str:
    """Return in a sentence what was measured and magnified."""
    magnified = record["magnified"]
    if magnified is None:
        return "nothing moves above the detection limit: the clip is not magnified"
    gain = magnified["gain"]
    if gain is None:
        return "nothing in the band is above the detection limit: there is no gain to state"
    unit, where = record["unit"], f"{gain['frequency']:.4g} Hz in {gain['region']}"
    before = f"{_amplitude(gain['before'])} {unit} at {where}"
    if gain["after"] is None:
        return f"{before}; nothing above the detection limit after magnification"
    return (
        f"{before}, {_amplitude(gain['after'])} {unit} after magnification: "
        f"{gain['ratio']:.3g} times as large, of {magnified['factor']:g} asked for"
    )


def _amplitude(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
