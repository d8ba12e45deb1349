"""`magkit.magnify`: a clip in a file or in memory with larger motion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from magkit.errors import MagkitError, UsageError, did_you_mean
from magkit.magnify.band import Band, Mode, Ramp, bands_of, check_request, parse_band
from magkit.magnify.filters import ORDER
from magkit.magnify.load import DEFAULT_MAGNIFIER, load_magnifier
from magkit.magnify.pipeline import magnify_file
from magkit.magnify.region import Controls, Mask, Rectangle, read_mask
from magkit.magnify.result import MagnifyResult
from magkit.magnify.stabilize import Stabilize
from magkit.progress import Progress, reported
from magkit.protocols import Magnifier
from magkit.runtime.device import Precision, resolve_device
from magkit.video import (
    AudioTracks,
    Frame,
    ReadOptions,
    VideoInfo,
    VideoSource,
    WriteOptions,
    check_output,
    open_video,
)
from magkit.video.arrays import (
    Opened,
    Rate,
    Source,
    as_array,
    check_rate,
    exact_rate,
    open_source,
)

FACTOR = 10.0
MOST_BYTES = 1 << 30  # of a result in memory, of a source that isn't

BandLike: TypeAlias = Band | tuple[float, float] | str
"""Frequencies in Hz: (0.4, 3) or "0.4-3"."""
BandsLike: TypeAlias = BandLike | Sequence[BandLike]
"""One band or several."""


def magnify(
    source: Source,
    *,
    factor: float | tuple[float, float] = FACTOR,
    mode: Mode = "static",
    band: BandsLike | None = None,
    fps: Rate | None = None,
    capture_fps: float | None = None,
    order: int = ORDER,
    limit: float | None = None,
    average: int | None = None,
    stabilize: Stabilize | None = None,
    axis: float | None = None,
    mask: str | PathLike[str] | ArrayLike | None = None,
    roi: Rectangle | None = None,
    compare: bool = False,
    magnifier: str | Magnifier = DEFAULT_MAGNIFIER,
    weights: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    device: torch.device | str = "auto",
    precision: Precision = "auto",
    start: float | None = None,
    end: float | None = None,
    bits: int | None = None,
    output: str | PathLike[str] | None = None,
    audio: AudioTracks = "all",
    quality: int | None = None,
    pix_fmt: str | None = None,
    overwrite: bool = False,
    progress: bool | Progress = False,
) -> MagnifyResult:
    """Make the motion in a clip larger.

    This is `magkit magnify`: the frames are the same. Of an array, the result's `frames` have the
    shape and the type. Memory is bounded if the result is written to a file.

    Args:
        source: the path of a clip; an array or a tensor (T, H, W) or (T, H, W, 3), RGB, of uint8,
            uint16, or floats from 0 to 1, which are rounded to 16 bits; an iterable of such frames,
            read once; or what `magkit.open_video` returns. Greys become the mean of the colours.
        factor: 0 removes the motion, 1 leaves the clip as it is, up to 300; or the factors of the
            first and the last frame, between which it changes with time.
        mode: "static" measures motion from the first frames, "dynamic" from the previous frame,
            "follow" from the smooth path of each place.
        band: only motion of these frequencies, in Hz of the scene: (28, 36) or "28-36", or a list
            of such bands.
        fps: frames per second; required with a band or an output unless the source is a file that
            states them.
        capture_fps: frames per second of filming, if the clip plays slower or faster.
        order: of the band's Butterworth filter, 1 to 8.
        limit: how far anything is shown to move, pixels; 0: no limit; None: 8 % of the shorter
            side, at least 16.
        average: number of frames whose aligned mean is the reference of static mode; None: 8.
        stabilize: "out" takes the camera's motion out before magnification; "back" puts it back
            afterwards; None: it is magnified as all motion is.
        axis: only motion along this direction, in degrees: 0 is horizontal, 90 vertical.
        mask: only where this array (H, W) is 1, not where it is 0; or the path of a picture.
        roi: only inside this rectangle: left, top, width, height in pixels.
        compare: whether the result shows the input beside it.
        magnifier: its name; or the object, whose device it is.
        weights: a file, or the name of included ones; None: the magnifier's own.
        options: of the magnifier, by name.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: of the networks: "auto", "full" or "bf16".
        start: seconds; the part of a file begins there.
        end: seconds; the part of a file ends before it.
        bits: significant bits of 16-bit values, 8 to 16, where the file doesn't say.
        output: a video by its suffix, or a folder of PNG files without one; None: in memory, at
            most 1 GiB unless the source is in memory.
        audio: which sound tracks of a file are kept in a file: "all", "first" or "none".
        quality: of the output: constant rate factor, 0 is the best; None: near lossless.
        pix_fmt: pixel format of the output, such as "yuv444p".
        overwrite: whether an existing output is replaced.
        progress: True shows it on standard error; or a function that is called after every frame
            with the number of frames that are done, and of all or None.

    Raises:
        UsageError: an argument is impossible, the source is no clip, or the result is too large
            for the memory.
        MagkitError: a file can't be read, or the output exists or can't be written.
    """
    times, frequencies = _factor(factor), _bands(band)
    _check(times, mode, frequencies, limit, average, capture_fps)
    opened = open_source(source, fps, bits=bits, start=start, end=end)
    path = None if output is None else Path(output)
    _check_rate(opened, frequencies, fps, capture_fps, path)
    controls = _controls(opened.video.info, axis, mask, roi)
    memory = _Memory(opened)
    if path is None:
        memory.check(opened.video.info.frames or 0, opened.video.info)
    else:
        check_output(path, opened.video.path, overwrite=overwrite)
    model, place = _model(magnifier, weights, options, device)
    # Frames of a folder keep the times of their numbers.
    rate = None if fps is None or opened.video.path.is_dir() else exact_rate(fps)
    with reported(progress, "magnifying") as report:
        magnify_file(
            opened.video,
            partial(memory.take, progress=report) if path is None else path,
            model,
            times,
            controls=controls,
            mode=mode,
            band=frequencies,
            capture_rate=capture_fps,
            order=order,
            limit=limit,
            average=average,
            stabilize=stabilize,
            compare=compare,
            device=place,
            precision=precision,
            options=WriteOptions(
                audio=audio, rate=rate, quality=quality, pix_fmt=pix_fmt, overwrite=overwrite
            ),
            progress=report,
        )
    words = _words(times, mode, frequencies)
    if path is None:
        return MagnifyResult(memory.clip(), words, None, memory.frames)
    return MagnifyResult(open_video(path, ReadOptions(deep=True)), words, path, None)


class _Memory:
    """Takes the frames of a result into memory."""

    def __init__(self, opened: Opened) -> None:
        self._opened, self._info = opened, opened.video.info
        self.frames: NDArray[Any] = np.empty(0)

    def check(self, count: int, info: VideoInfo) -> None:
        """Raise UsageError if so many frames are too large, and the source isn't in memory too."""
        size = count * info.height * info.width * 3 * (2 if info.bits > 8 else 1)
        if size > MOST_BYTES and not self._opened.held:
            raise UsageError(
                f"the result takes more than {MOST_BYTES >> 30} GiB of memory",
                "write it to a file: output='larger.mp4', or ask for a part: start=2, end=5",
            )

    def take(self, frames: Iterator[Frame], info: VideoInfo, progress: Progress) -> int:
        """Keep the frames of a clip; the `Sink` of `magnify_file`."""
        stream = self._restored(frames, info, progress)
        first = next(stream, None)
        if first is None:
            raise MagkitError("there are no frames")
        # It grows as an array: a list of frames would take twice the memory when it is stacked.
        self.frames = np.fromiter(chain([first], stream), np.dtype((first.dtype, first.shape)))
        self._info = replace(info, frames=len(self.frames))
        return len(self.frames)

    def _restored(
        self, frames: Iterable[Frame], info: VideoInfo, progress: Progress
    ) -> Iterator[NDArray[Any]]:
        for number, frame in enumerate(frames, 1):
            self.check(number, info)
            yield self._opened.restore(frame)
            progress(number, info.frames)

    def clip(self) -> VideoSource:
        """Return the frames as a clip."""
        return self._opened.with_frames(self.frames, self._info)


def _factor(factor: float | tuple[float, float]) -> float | Ramp:
    ends: Sequence[object] = factor if isinstance(factor, tuple | list) else (factor,)
    numbers = _numbers(ends)
    if len(numbers) not in (1, 2):
        raise UsageError(
            f"{factor!r} is no factor", "a number, or those of the first and last frame: (1, 20)"
        )
    return numbers[0] if len(numbers) == 1 else Ramp(*numbers)


def _numbers(values: Iterable[object]) -> list[float]:
    """Return values as floats; none if one isn't a number."""
    listed = list(values)
    numbers = [float(each) for each in listed if isinstance(each, Real)]
    return numbers if len(numbers) == len(listed) else []


def _bands(band: BandsLike | None) -> tuple[Band, ...]:
    """Return no, one or several bands."""
    if band is None:
        return ()
    several: Any = band
    if isinstance(band, Band | str) or _numbers(band):
        several = [band]
    return bands_of([_band(each) for each in several])


def _band(band: BandLike) -> Band:
    if isinstance(band, Band):
        return band
    if band == "auto":
        raise UsageError(
            "a band is not chosen here", "magkit.measure(...).band is one around what vibrates"
        )
    if isinstance(band, str):
        return parse_band(band)
    edges = _numbers(band)
    if len(edges) != 2:
        raise UsageError(f"{band!r} is no band of frequencies", "the lowest and the highest, in Hz")
    return Band(*edges)


def _check(
    factor: float | Ramp,
    mode: Mode,
    bands: Sequence[Band],
    limit: float | None,
    average: int | None,
    capture_fps: float | None,
) -> None:
    if mode not in get_args(Mode):
        raise UsageError(f"'{mode}' is no mode", did_you_mean(mode, get_args(Mode)))
    check_request(factor, mode, bands, limit, average)
    check_rate(capture_fps)
    if capture_fps is not None and not bands:
        raise UsageError("the rate of filming matters to a band alone", "give a band")


def _check_rate(
    opened: Opened,
    bands: Sequence[Band],
    fps: Rate | None,
    capture_fps: float | None,
    output: Path | None,
) -> None:
    """Refuse a band above half the rate, and one or an output where the rate is unknown."""
    known = fps is not None or not opened.timeless
    needed = (bool(bands) and capture_fps is None) or output is not None
    if needed and not known:
        raise UsageError("frames in memory have no rate", "give fps, frames per second")
    for band in bands:
        band.check_rate(opened.video.info.rate if capture_fps is None else capture_fps)


def _controls(
    info: VideoInfo,
    axis: float | None,
    mask: str | PathLike[str] | ArrayLike | None,
    roi: Rectangle | None,
) -> Controls:
    if roi is not None:
        left, top, width, height = _rectangle(roi)
        roi = left, top, width, height
    controls = Controls(axis=axis, mask=_mask(mask, info), roi=roi)
    controls.check_size(info.height, info.width)
    return controls


def _rectangle(roi: Iterable[object]) -> list[int]:
    numbers = [int(each) for each in roi if isinstance(each, Integral)]
    if len(numbers) != 4:
        raise UsageError(
            f"{roi!r} is no rectangle", "whole numbers: left, top, width, height in pixels"
        )
    return numbers


def _mask(mask: str | PathLike[str] | ArrayLike | None, info: VideoInfo) -> Mask | None:
    if mask is None:
        return None
    if isinstance(mask, str | PathLike):
        return read_mask(Path(mask), info.height, info.width)
    values = as_array(mask)
    if values.dtype.kind not in "buif":
        raise UsageError("a mask is an array of numbers from 0 to 1, or the path of a picture")
    return values.astype(np.float32)


def _model(
    magnifier: str | Magnifier,
    weights: str | Path | None,
    options: Mapping[str, Any] | None,
    device: torch.device | str,
) -> tuple[Magnifier, torch.device]:
    """Return a magnifier, and its device."""
    if isinstance(magnifier, str):
        place = resolve_device(str(device))
        return load_magnifier(magnifier, weights, _texts(options or {}), place), place
    if weights is not None or options:
        raise UsageError("a magnifier that is loaded already takes no weights or options")
    tensors = magnifier.parameters() if isinstance(magnifier, torch.nn.Module) else ()
    return magnifier, next((each.device for each in tensors), torch.device("cpu"))


def _texts(options: Mapping[str, Any]) -> list[str]:
    """Return options as KEY=VALUE texts."""

    def text(value: object) -> str:
        return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)

    return [f"{key}={text(value)}" for key, value in options.items()]


def _words(factor: float | Ramp, mode: Mode, bands: Sequence[Band]) -> str:
    """Return what was asked for in words: "motion of 28-36 Hz x5", "motion x10, mode follow"."""
    times = factor if isinstance(factor, Ramp) else f"{factor:g}"
    what = f"motion of {' and '.join(map(str, bands))}" if bands else "motion"
    return f"{what} x{times}" + ("" if mode == "static" else f", mode {mode}")
