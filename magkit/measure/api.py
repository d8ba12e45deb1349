"""`magkit.measure`: how regions of a clip in a file or in memory move."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

from magkit.errors import UsageError, did_you_mean
from magkit.measure.displacement import AVERAGE
from magkit.measure.read import measure_file
from magkit.measure.regions import SIDE, Place, Places, named_places
from magkit.measure.result import MeasureResult
from magkit.measure.units import Reading, Unit, check_unit, parse_scale
from magkit.progress import Progress, reported
from magkit.video import Frame, VideoSource
from magkit.video.arrays import NAME, Rate, Source, check_rate, open_source


def measure(
    source: Source,
    *,
    at: Places = (),
    roi: Places = (),
    grid: Place | None = None,
    side: int = SIDE,
    fps: Rate | None = None,
    capture_fps: float | None = None,
    scale: float | str | None = None,
    unit: Unit = "px",
    reading: Reading = "peak",
    average: int = AVERAGE,
    steady: bool = False,
    start: float | None = None,
    end: float | None = None,
    bits: int | None = None,
    progress: bool | Progress = False,
) -> MeasureResult:
    """Measure how regions of a clip move: displacement, spectrum, and whether it is real.

    Without `at`, `roi` and `grid`, places with enough texture are chosen all over the picture. This
    is `magkit measure`; a clip in memory is measured like a file of the same values.

    Args:
        source: the path of a clip; an array or a tensor (T, H, W) or (T, H, W, 3), RGB, of uint8,
            uint16, or floats from 0 to 1, which are rounded to 16 bits; an iterable of such frames,
            read once; or what `magkit.open_video` returns.
        at: a point x, y in pixels, around which is measured; several; or several by name.
        roi: a rectangle left, top, width, height in pixels; several; or several by name.
        grid: columns and rows of equal rectangles that fill the frame.
        side: of the square around a point, pixels.
        fps: frames per second; required unless the source is a file that states them.
        capture_fps: frames per second of filming, if the clip plays slower or faster.
        scale: millimetres of a pixel, or a text: "10,40,310,40=120mm", "3.5px/mm".
        unit: of amplitudes: px, um, mm, mil, in, mm/s, in/s or g.
        reading: amplitudes as "peak", "pp" (peak to peak) or "rms".
        average: number of frames whose aligned mean is the reference.
        steady: take the motion of the whole picture out of each region's.
        start: seconds; the part of a file begins there.
        end: seconds; the part of a file ends before it.
        bits: significant bits of 16-bit values, 8 to 16, where the file doesn't say.
        progress: True shows it on standard error; or a function that is called after every frame
            with the number of frames that are done, and of all or None.

    Raises:
        UsageError: an argument is impossible, or the source is no clip.
        MagkitError: a file can't be read; the clip has fewer than 16 frames, or no texture.
    """
    size = parse_scale(scale) if isinstance(scale, str) else scale
    _check(size, unit, reading, average)
    check_rate(capture_fps)
    opened = open_source(source, fps, bits=bits, start=start, end=end)
    video = opened.video
    if opened.timeless and fps is None and capture_fps is None:
        raise UsageError("frames in memory have no rate", "give fps, frames per second of filming")
    regions = named_places((video.info.height, video.info.width), at, roi, grid, side)
    kept: list[Frame] = []
    with reported(progress, "measuring") as report:
        found = measure_file(
            _first_kept(video, kept),
            regions,
            capture_rate=capture_fps,
            average=average,
            steady=steady,
            progress=report,
        )
    clip = None if str(video.path) == NAME else str(video.path)
    return MeasureResult(found, kept[0], unit, size, reading, clip)


def _first_kept(video: VideoSource, kept: list[Frame]) -> VideoSource:
    """Return a clip that puts its first frame into a list when it is read."""

    def read() -> Iterator[Frame]:
        for frame in video:
            if not kept:
                kept.append(frame)
            yield frame

    return replace(video, _read=read)


def _check(scale: float | None, unit: str, reading: str, average: int) -> None:
    if scale is not None and not 0 < scale < float("inf"):
        raise UsageError(f"the millimetres of a pixel must be above 0, not {scale:g}")
    check_unit(unit, scale)
    if reading not in get_args(Reading):
        raise UsageError(f"'{reading}' is no reading", did_you_mean(reading, get_args(Reading)))
    if average < 1:
        raise UsageError(f"the mean must be of at least 1 frame, not {average}")
