"""`magkit magnify` and `magkit demo`: clips in which motion is larger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from magkit.cli.controls import (
    Average,
    Axis,
    BandsOrAuto,
    Compare,
    FromFrame,
    KeepCamera,
    Limit,
    MaskFile,
    Ramped,
    Roi,
    Slice,
    SliceAt,
    Stabilized,
    parse_bands_or_auto,
    parse_slice,
    read_controls,
    stabilize_how,
)
from magkit.cli.options import (
    Device,
    MagnifierName,
    Opt,
    Overwrite,
    Precision,
    Threads,
    WeightsFile,
)
from magkit.cli.output import Output
from magkit.errors import UsageError
from magkit.runtime.files import check_folder, fitted

if TYPE_CHECKING:
    from magkit.magnify.band import Band, Ramp
    from magkit.magnify.stabilize import Stabilize

FACTOR = 10.0

Inputs = Annotated[
    list[Path],
    typer.Argument(
        metavar="INPUT...",
        help="Video files, recordings of high-speed cameras, animated images, folders of frames.",
    ),
]
To = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="A video or a TIFF stack (.tif) by its suffix, or a folder of PNG frames without one; "
        "for several inputs the folder that their results go to. Unset: here, INPUT's name and "
        "the factor.",
    ),
]
Factor = Annotated[
    float | None,
    typer.Option(
        "--factor", "-f", help="Magnification factor, 0 to 300; 0 removes motion. 10 if unset."
    ),
]
CaptureFps = Annotated[
    float | None,
    typer.Option(
        help="Frame rate at which the scene was captured, if it plays slower or faster; the band"
        " is in Hz of the scene.",
    ),
]
Order = Annotated[int, typer.Option(min=1, max=8, help="Order of the band's Butterworth filter.")]
Start = Annotated[float | None, typer.Option(help="Begin at this time, in seconds.")]
End = Annotated[float | None, typer.Option(help="End before this time, in seconds.")]
Fps = Annotated[
    str | None,
    typer.Option(
        "--fps",
        metavar="RATE",
        help="Frame rate of an input that has none or a wrong one; unevenly spaced frames "
        "are written at this constant rate.",
    ),
]
Pattern = Annotated[
    str,
    typer.Option(metavar="GLOB", help="Of a folder, take only frames whose names match."),
]
Gaps = Annotated[
    bool,
    typer.Option(
        "--gaps",
        help="Accept missing frame numbers in a folder; frames keep the times of their numbers.",
    ),
]
Bits = Annotated[
    int | None,
    typer.Option(
        min=8, max=16, help="Bits used of 16-bit images, such as 12, where the files don't say."
    ),
]
Audio = Annotated[Literal["none", "first", "all"], typer.Option(help="Audio tracks to keep.")]
Deinterlace = Annotated[bool, typer.Option("--deinterlace", help="Deinterlace the input.")]
PixFmt = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Output pixel format, such as yuv444p or yuv420p10le. Unset: 4:2:0, with "
        "10 bits if the input has more than 8.",
    ),
]
Quality = Annotated[
    int | None,
    typer.Option(
        min=0, max=63, help="Constant rate factor (CRF), 0 is the best; near lossless if unset."
    ),
]
DemoFolder = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="The folder for the results.")
]


def magnify(
    out: Output,
    inputs: Inputs,
    *,
    output: To = None,
    factor: Factor = None,
    ramp: Ramped = None,
    mode: FromFrame = "static",
    band: BandsOrAuto = None,
    capture_fps: CaptureFps = None,
    order: Order = 2,
    limit: Limit = None,
    average: Average = None,
    axis: Axis = None,
    mask: MaskFile = None,
    roi: Roi = None,
    stabilize: Stabilized = False,
    keep_camera_motion: KeepCamera = False,
    compare: Compare = False,
    slice_file: Slice = None,
    slice_at: SliceAt = None,
    magnifier: MagnifierName = "magnet-fast",
    weights: WeightsFile = None,
    start: Start = None,
    end: End = None,
    fps: Fps = None,
    pattern: Pattern = "*",
    gaps: Gaps = False,
    bits: Bits = None,
    deinterlace: Deinterlace = False,
    audio: Audio = "all",
    quality: Quality = None,
    pix_fmt: PixFmt = None,
    opt: Opt = None,
    device: Device = "auto",
    precision: Precision = "auto",
    threads: Threads = None,
    overwrite: Overwrite = False,
) -> None:
    """Make the motion in a clip larger.

    The result has the clip's size, rate, length, colours and sound; with --compare, it is wider.

    Several clips are magnified one after another, until one fails.
    """
    from magkit.magnify.band import ANY_BAND, check_request

    bands, automatic = parse_bands_or_auto(band)
    times = _factor(factor, ramp)
    camera = stabilize_how(stabilize, keep=keep_camera_motion)
    check_request(times, mode, ANY_BAND if automatic else bands, limit, average)
    names = ["auto"] if automatic else bands
    jobs = _jobs(inputs, output, _mark(times, mode, names, camera))
    _check_outputs(jobs, overwrite)
    picture = parse_slice(slice_file, slice_at, inputs, overwrite=overwrite)
    if automatic and len(jobs) > 1:
        raise UsageError("--band auto chooses the band of one clip", "magnify them one by one")
    if capture_fps is not None and band is None:
        raise UsageError("the rate of filming matters to a band alone", "add --band LO-HI")

    from magkit.video import ReadOptions, WriteOptions, open_video
    from magkit.video.stitch import parse_rate

    rate = None if fps is None else parse_rate(fps)
    reading = ReadOptions(
        rate=rate, deep=True, bits=bits, deinterlace=deinterlace, pattern=pattern, gaps=gaps
    )
    writing = WriteOptions(audio=audio, quality=quality, pix_fmt=pix_fmt, overwrite=overwrite)
    videos = [open_video(source, reading, start=start, end=end) for source, _ in jobs]
    for video, each in product(videos, bands):
        each.check_rate(video.info.rate if capture_fps is None else capture_fps)
    controls = read_controls(videos, axis, mask, roi)
    line = None if picture is None else picture.line_of(videos[0], controls[0], camera)

    from magkit.magnify.load import load_magnifier
    from magkit.magnify.pipeline import magnify_file
    from magkit.runtime.device import resolve_device, set_threads

    set_threads(threads)
    place = resolve_device(device)
    model = load_magnifier(magnifier, weights, opt or (), place)
    if automatic:
        from magkit.evaluate.automatic import automatic_band

        with out.progress(f"measuring {inputs[0]}") as progress:
            found, reason = automatic_band(videos[0], capture_fps, progress)
        bands = (found,)
        out.note(reason)
    results = []
    for video, chosen, (source, target) in zip(videos, controls, jobs, strict=True):
        with out.progress(str(source)) as progress:
            frames = magnify_file(
                video,
                target,
                model,
                times,
                controls=chosen,
                mode=mode,
                band=bands,
                capture_rate=capture_fps,
                order=order,
                limit=limit,
                average=average,
                stabilize=camera,
                compare=compare,
                device=place,
                precision=precision,
                # A folder's frames keep the times of their numbers.
                options=replace(writing, rate=None if source.is_dir() else rate),
                progress=progress,
            )
        results.append({"input": source, "output": target, "frames": frames})
    if picture is not None and line is not None:
        picture.write(line, videos[0], jobs[0][1], compare=compare)
    settings = {
        **_factor_settings(times),
        "mode": mode,
        "bands": [asdict(each) for each in bands],
        "limit": limit,
        "average": average,
        "axis": axis,
        "mask": mask,
        "roi": controls[0].roi,
        "stabilize": camera,
        "compare": compare,
        "slice": slice_file,
        "slice_at": line and str(line),
    }
    out.finish(
        {"results": results, **settings, "magnifier": magnifier, "device": str(place)},
        wrote=[*(target for _, target in jobs), *([slice_file] if slice_file else [])],
        then="look at it; another --factor, or a --band, may show more",
    )


def demo(
    out: Output,
    *,
    output: DemoFolder = Path("magkit-demo"),
    magnifier: MagnifierName = "magnet-fast",
    weights: WeightsFile = None,
    device: Device = "auto",
    threads: Threads = None,
    overwrite: Overwrite = False,
) -> None:
    """Render a clip with a vibration too small to see, magnify it and measure the result.

    It writes the clip, the magnified one, both side by side, and one column of pixels over time.
    """
    from magkit.evaluate.demo import FILES, run_demo
    from magkit.magnify.load import load_magnifier
    from magkit.runtime.device import resolve_device, set_threads

    check_folder(output, FILES, "demo", overwrite=overwrite)
    set_threads(threads)
    place = resolve_device(device)
    model = load_magnifier(magnifier, weights, device=place)
    with out.progress("demo") as progress:
        made = run_demo(output, model, device=place, overwrite=overwrite, progress=progress)
    achieved = made.gain * made.factor
    out.show(
        f"a vibration of {made.displacement:g} px at {made.frequency:g} Hz came out "
        f"{achieved:.1f} times as large: {made.gain:.2f} of the factor {made.factor:g} asked for"
    )
    out.finish(
        made.as_dict(),
        wrote=made.files,
        then=f"look at {made.files[2]}, then try magkit magnify on a clip of yours",
    )


def _factor(factor: float | None, ramp: str | None) -> float | Ramp:
    """What is asked for by --factor or --ramp; UsageError: both are given."""
    from magkit.magnify.band import parse_ramp

    if ramp is None:
        return FACTOR if factor is None else factor
    if factor is not None:
        raise UsageError("--ramp replaces --factor", "leave out one of them")
    return parse_ramp(ramp)


def _factor_settings(factor: float | Ramp) -> dict[str, object]:
    if isinstance(factor, float):
        return {"factor": factor, "ramp": None}
    return {"factor": None, "ramp": [factor.first, factor.last]}


def _mark(
    factor: float | Ramp, mode: str, bands: Sequence[Band | str], camera: Stabilize | None
) -> str:
    """The suffix of a result's name: "_x10", "_x1-20", "_x10_dynamic", "_x50_72-92Hz"."""
    how = "" if mode == "static" else f"_{mode}"
    times = f"{factor:g}" if isinstance(factor, float) else str(factor)
    held = {None: "", "out": "_stabilized", "back": "_camera-kept"}[camera]
    return f"_x{times}{how}" + "".join(f"_{band}".replace(" ", "") for band in bands) + held


def _jobs(inputs: list[Path], output: Path | None, mark: str) -> list[tuple[Path, Path]]:
    """Returns each input with its own output path.

    Raises:
        UsageError: Two inputs would have one result, or several are to go into one file.
    """
    if output is not None and len(inputs) == 1:
        return [(inputs[0], output)]
    if output is not None and (output.suffix or output.is_file()):
        raise UsageError(
            f"{len(inputs)} clips can't go into the one file {output}",
            "name a folder, which will hold the result of each",
        )
    jobs: dict[Path, Path] = {}
    for source in inputs:
        target = (output or Path()) / _name(source, mark)
        if target in jobs:
            raise UsageError(
                f"{jobs[target]} and {source} would both become {target}",
                "magnify them one by one, each with its --output",
            )
        jobs[target] = source
    return [(source, target) for target, source in jobs.items()]


def _name(source: Path, mark: str) -> str:
    """The name of a result; an input's name that is too long is cut."""
    from magkit.video.encode import CONTAINERS
    from magkit.video.formats import RECORDINGS, clip_format

    path = source.resolve()
    if path.is_dir():
        # A dot would make it the name of a file.
        return fitted(path.name, mark).replace(".", "_")
    if path.is_file() and clip_format(path) not in {None, "TIFF", *RECORDINGS}:
        return fitted(path.stem, f"{mark}.gif")
    suffix = path.suffix.lower()
    return fitted(path.stem, mark + (suffix if suffix in CONTAINERS else ".mp4"))


def _check_outputs(jobs: list[tuple[Path, Path]], overwrite: bool) -> None:
    """Refuse outputs that exist or can't be, or that are any of the inputs."""
    from magkit.video import check_output

    for _, target in jobs:
        for source, _ in jobs:
            check_output(target, source, overwrite=overwrite)
