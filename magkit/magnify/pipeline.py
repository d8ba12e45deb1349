"""Streaming magnification of frames and clips, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from threading import Semaphore
from typing import Any, TypeVar

import numpy as np
import torch

from magkit.errors import UsageError
from magkit.magnify.band import Band, Mode, check_request
from magkit.magnify.filters import ORDER, BandPass
from magkit.progress import Progress, silent
from magkit.protocols import Magnifier
from magkit.runtime.ahead import ahead, close
from magkit.video import (
    Frame,
    ReadOptions,
    VideoSource,
    WriteOptions,
    open_video,
    write_video,
)

_T = TypeVar("_T")


def magnify(
    frames: Iterable[Frame],
    magnifier: Magnifier,
    factor: float,
    *,
    mode: Mode = "static",
    band: Band | None = None,
    rate: float | Fraction | None = None,
    times: Sequence[float] | None = None,
    order: int = ORDER,
    device: torch.device | str = "cpu",
    concurrent: bool = False,
) -> Iterator[Frame]:
    """Stream frames in which motion is `factor` times as large.

    The first frame is the reference, and returned unchanged.

    Args:
        frames: (H, W, 3) uint8 or uint16 RGB, of any size, all of one.
        magnifier: The magnifier, on `device`.
        factor: 0 removes the motion, 1 passes the frames through, up to 300.
        mode: "static" measures motion from the first frame, "dynamic" from the previous one.
        band: Only motion of these frequencies is magnified.
        rate: Mean frames per second of filming; required with a band.
        times: Times of unevenly spaced frames in seconds, for the band; later frames follow the
            rate.
        order: Of the band's Butterworth filter.
        device: Of the magnifier.
        concurrent: Read, encode, measure and render different frames at the same time, in threads
            that share those of torch. Close the generator to end them early.

    Returns:
        As many frames, of the same size and type. Each frame is encoded once.

    Raises:
        UsageError: The factor, or the band, is impossible, or there is a band in dynamic mode.
    """
    check_request(factor, mode, band)
    part = _filter(band, rate, order)
    if factor == 1:
        return iter(frames)
    dynamic = mode == "dynamic"
    place = torch.device(device)
    return _magnified(frames, magnifier, factor, dynamic, part, times, place, concurrent)


def magnify_file(
    source: Path | VideoSource,
    output: Path,
    magnifier: Magnifier,
    factor: float,
    *,
    mode: Mode = "static",
    band: Band | None = None,
    capture_rate: float | None = None,
    order: int = ORDER,
    device: torch.device | str = "cpu",
    options: WriteOptions = WriteOptions(),  # noqa: B008 - it is frozen
    progress: Progress = silent,
) -> int:
    """Magnify a clip into another of the same size, times, length, colours and sound.

    Args:
        source: A video file, an animated image or a folder of frames, or a `VideoSource`.
        output: A video by its suffix, or a folder of PNG frames without one.
        capture_rate: Frames per second of filming, if the clip plays at another speed: the band is
            in hertz of the scene.
        options: How the output is written.
        progress: Called after every frame.

    The other arguments are those of `magnify`.

    Returns:
        Number of frames written.

    Raises:
        UsageError: As `magnify`, or the output asked for is impossible.
        MagkitError: The clip can't be read, or the output exists or can't be written.
    """
    video = open_video(source, ReadOptions(deep=True)) if isinstance(source, Path) else source
    filmed, times = filming(video, capture_rate)
    frames = magnify(
        video,
        magnifier,
        factor,
        mode=mode,
        band=band,
        rate=filmed,
        times=times,
        order=order,
        device=device,
        concurrent=True,
    )
    try:
        return write_video(
            *(output, frames, video.info, options),
            sound=video.sound,
            source=video.path,
            progress=progress,
        )
    finally:
        close(frames)


def filming(
    video: VideoSource, capture_rate: float | None
) -> tuple[float | Fraction, list[float] | None]:
    """Frames per second of filming, and the times of unevenly spaced frames.

    Args:
        video: The clip.
        capture_rate: Frames per second of filming; None: the clip's rate.
    """
    info = video.info
    if capture_rate is None or info.times is None:
        rate = info.rate if capture_rate is None else capture_rate
        return rate, None if info.times is None else list(info.times)
    return capture_rate, [time * float(info.rate) / capture_rate for time in info.times]


def _filter(band: Band | None, rate: float | Fraction | None, order: int) -> BandPass | None:
    if band is None:
        return None
    if rate is None:
        raise UsageError(f"the band {band} needs the rate at which the frames were filmed")
    return BandPass(band, rate, order)


class _Stages:
    """The steps of magnification, each of which may run ahead of the next in a thread.

    A step is faster with one thread than with two, as most operations are too short to share.
    """

    def __init__(self, device: torch.device, concurrent: bool) -> None:
        steps, self.threads = 3, torch.get_num_threads()
        self.concurrent = concurrent
        # The number of steps that compute at a time: no more threads than were asked for.
        self.turns = Semaphore(min(self.threads, steps) if device.type == "cpu" else 1)
        self.each = max(1, self.threads // steps)
        self.running: list[Iterator[Any]] = []

    def split(self, items: Iterable[_T]) -> Iterator[_T]:
        """Iterate over the items of a step in a thread of its own."""
        if not self.concurrent:
            return iter(items)
        self.running.append(ahead(items, partial(torch.set_num_threads, self.each)))
        return self.running[-1]

    def close(self) -> None:
        """End the threads, the last step's first, and let torch use as many as before."""
        for step in reversed(self.running):
            close(step)
        if self.running:
            torch.set_num_threads(self.threads)


def _magnified(
    frames: Iterable[Frame],
    magnifier: Magnifier,
    factor: float,
    dynamic: bool,
    part: BandPass | None,
    times: Sequence[float] | None,
    device: torch.device,
    concurrent: bool,
) -> Iterator[Frame]:
    stages = _Stages(device, concurrent)
    encoded = _encoded(stages.split(frames), magnifier, device, stages.turns)
    measured = _measured(stages.split(encoded), magnifier, dynamic, part, times, stages.turns)
    scale = torch.tensor([factor], device=device)
    try:
        yield from stages.split(_rendered(stages.split(measured), magnifier, scale, stages.turns))
    finally:
        stages.close()


@torch.inference_mode()
def _encoded(
    frames: Iterable[Frame], magnifier: Magnifier, device: torch.device, turns: Semaphore
) -> Iterator[tuple[Frame, Any]]:
    """Frames with their features."""
    for frame in frames:
        with turns:
            features = magnifier.encode(to_tensor(frame, magnifier.stride, device))
        yield frame, features
        del frame, features


@torch.inference_mode()
def _measured(
    encoded: Iterable[tuple[Frame, Any]],
    magnifier: Magnifier,
    dynamic: bool,
    part: BandPass | None,
    times: Sequence[float] | None,
    turns: Semaphore,
) -> Iterator[tuple[Frame, Any, torch.Tensor | None]]:
    """Frames with their features and the motion to show, which the first one has not."""
    stream = iter(encoded)
    intervals = (later - earlier for earlier, later in pairwise(times or ()))
    first = next(stream, None)
    if first is None:
        return
    reference = first[1]
    if part is not None:
        part(magnifier.motion(reference, reference))
    yield *first, None
    del first
    for frame, current in stream:
        with turns:
            motion = magnifier.motion(reference, current)
            shown = motion if part is None else part(motion, next(intervals, None))
        yield frame, current, shown
        if dynamic:
            reference = current
        del frame, current


@torch.inference_mode()
def _rendered(
    measured: Iterable[tuple[Frame, Any, torch.Tensor | None]],
    magnifier: Magnifier,
    factor: torch.Tensor,
    turns: Semaphore,
) -> Iterator[Frame]:
    """Frames that show the motion `factor` times; those without one as they are."""
    for frame, current, shown in measured:
        if shown is None:
            yield frame
        else:
            with turns:
                made = magnifier.render(current, shown, factor)
                picture = to_frame(made, frame.shape[:2], deep=frame.dtype == np.uint16)
            yield picture
            del made, picture
        del frame, current, shown


def to_tensor(frame: Frame, stride: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """A frame (H, W, 3) as floats (1, 3, H', W') in [0, 1], sides reflected to whole strides."""
    height, width = frame.shape[:2]
    below, right = -height % stride, -width % stride
    if below or right:
        # numpy reflects again where a side is shorter than what is missing.
        frame = np.pad(frame, ((0, below), (0, right), (0, 0)), mode="reflect")
    pixels = torch.from_numpy(np.ascontiguousarray(frame)).to(device)
    return pixels.permute(2, 0, 1)[None].float().div_(np.iinfo(frame.dtype).max)


def to_frame(pictures_NCHW: torch.Tensor, size: tuple[int, ...], *, deep: bool = False) -> Frame:
    """The first picture's upper left corner of (height, width), rounded to 8 bit, 16 if `deep`."""
    height, width = size
    most = 65535 if deep else 255
    pixels = pictures_NCHW[0, :, :height, :width].mul(most).round_().clamp_(0, most)
    whole = pixels.to(torch.int32 if deep else torch.uint8).permute(1, 2, 0).contiguous().cpu()
    frame: Frame = whole.numpy().astype(np.uint16 if deep else np.uint8, copy=False)
    return frame
