"""Streaming magnification of frames and clips, in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from magkit.errors import UsageError
from magkit.magnify.band import AVERAGE, Band, Mode, Ramp, bands_of, check_request
from magkit.magnify.coherence import default_limit, limited
from magkit.magnify.filters import ORDER, BandSum
from magkit.magnify.motion import (
    Encoded,
    Shown,
    Work,
    off_path,
    path_kernel,
    since_first,
    since_last,
)
from magkit.magnify.region import Controls, Region
from magkit.magnify.shots import ShotFrame, marked, split_shots
from magkit.magnify.stabilize import Stabilize, Stabilizer
from magkit.magnify.stages import Stages
from magkit.progress import Progress, silent
from magkit.protocols import DisplacementMagnifier, Magnifier
from magkit.runtime.ahead import close
from magkit.runtime.device import Precision
from magkit.video import (
    Frame,
    ReadOptions,
    VideoInfo,
    VideoSource,
    WriteOptions,
    open_video,
    write_video,
)
from magkit.video.compare import compared, compared_info
from magkit.video.info import filming

EVERYTHING = Controls()

Sink = Callable[[Iterator[Frame], VideoInfo], int]
"""Takes the frames of a result and their record, and returns the number of frames."""


def magnify(
    frames: Iterable[Frame],
    magnifier: Magnifier,
    factor: float | Sequence[float],
    *,
    controls: Controls = EVERYTHING,
    mode: Mode = "static",
    band: Band | Sequence[Band] | None = None,
    rate: float | Fraction | None = None,
    times: Sequence[float] | None = None,
    order: int = ORDER,
    limit: float | None = None,
    average: int | None = None,
    stabilize: Stabilize | None = None,
    device: torch.device | str = "cpu",
    precision: Precision = "auto",
    concurrent: bool = False,
) -> Iterator[Frame]:
    """Stream frames in which motion is `factor` times as large.

    The first frame of a shot is returned unchanged, and nothing is measured across a cut.

    Args:
        frames: (H, W, 3) uint8 or uint16 RGB, of any size, all of one.
        magnifier: The magnifier, on `device`.
        factor: 0 removes the motion, 1 passes the frames through, up to 300; or the factor of each
            frame, of which the last one also goes for frames after it.
        controls: Which part of the motion is magnified; all of it by default. An axis is only of
            magnifiers that measure displacements.
        mode: "static" measures motion from a shot's first frames, "dynamic" from the previous
            frame, "follow" from each place's smooth path (`motion.off_path`).
        band: Only motion of these frequencies is magnified; several bands are magnified together.
        rate: Mean frames per second of filming; required with a band.
        times: Times of unevenly spaced frames in seconds, for the band in static mode; later
            frames follow the rate.
        order: Of the band's Butterworth filter, in static mode.
        limit: How far anything is shown to move, pixels; 0: no limit; None: 8 % of the shorter
            side, at least 16. Only of magnifiers that measure displacements.
        average: Number of frames whose aligned mean is the reference of static mode; 1: the first
            frame alone; None: 8. Only of magnifiers that measure displacements.
        stabilize: Take the camera's motion out of the frames first, so that it is not magnified;
            "back" puts it back at the end. Controls refer to the view of the shot's first frame.
        device: Of the magnifier.
        precision: Of its networks. "auto" is "bf16" where the device multiplies it fast and the
            magnifier measures displacements: networks make few of its colours.
        concurrent: Read, encode, measure and render different frames at the same time, in threads
            that share those of torch. Close the generator to end them early.

    Returns:
        As many frames, of the same size and type.

    Raises:
        UsageError: A factor, the band, the limit or the average is impossible, or the mode does
            not suit the band or the magnifier; with the first frame, if a control doesn't fit it.
    """
    factors = [factor] if isinstance(factor, float | int) else list(factor)
    bands = bands_of(band)
    for each in factors:
        check_request(each, mode, bands, limit, average)
    if not isinstance(magnifier, DisplacementMagnifier):
        _check_displacement(mode, limit, average, controls.axis)
        average = 1
        precision = "full" if precision == "auto" else precision
    if bands and rate is None:
        raise UsageError(f"the band {bands[0]} needs the rate at which the frames were filmed")
    measure = _measure(magnifier, mode, bands, rate, times, order, torch.device(device))
    unchanged = all(each == 1 for each in factors)
    if unchanged and stabilize != "out":
        return iter(frames)
    stages = Stages(torch.device(device), precision, concurrent)
    opening = (average or AVERAGE) if mode == "static" else 1
    render = Rendering(magnifier, factors, limit, controls, torch.device(device))

    def made(begun: Iterable[tuple[Frame, bool]]) -> Iterator[Frame]:
        if unchanged:
            return (frame for frame, _ in begun)
        return _magnified(split_shots(begun, opening), magnifier, render, measure, stages)

    steps = _stabilized(frames, made, stabilize, stages) if stabilize else made(marked(frames))
    return _closing(steps, stages)


def magnify_file(
    source: Path | VideoSource,
    output: Path | Sink,
    magnifier: Magnifier,
    factor: float | Ramp,
    *,
    controls: Controls = EVERYTHING,
    mode: Mode = "static",
    band: Band | Sequence[Band] | None = None,
    capture_rate: float | None = None,
    order: int = ORDER,
    limit: float | None = None,
    average: int | None = None,
    stabilize: Stabilize | None = None,
    compare: bool = False,
    device: torch.device | str = "cpu",
    precision: Precision = "auto",
    options: WriteOptions = WriteOptions(),  # noqa: B008 - it is frozen
    progress: Progress = silent,
) -> int:
    """Magnify a clip into another of the same size, times, length, colours and sound.

    Args:
        source: A clip that `open_video` opens, or a `VideoSource`.
        output: A video by its suffix, or a folder of PNG frames without one; or what takes the
            frames instead of a file.
        factor: As of `magnify`, or one that changes with time from the first frame to the last.
        capture_rate: Frames per second of filming, if the clip plays at another speed: the band is
            in hertz of the scene.
        compare: Whether the output shows the input and the result side by side, see
            `video.compare`.
        options: How the output is written.
        progress: Called after every frame.

    The other arguments are those of `magnify`.

    Returns:
        Number of frames written.

    Raises:
        UsageError: As `magnify`, but a control that doesn't fit is refused before the first frame;
            or the output asked for is impossible.
        MagkitError: The clip can't be read, or the output exists or can't be written.
    """
    video = open_video(source, ReadOptions(deep=True)) if isinstance(source, Path) else source
    info = video.info
    controls.check_size(info.height, info.width)
    filmed, times = filming(info, capture_rate)
    frames = magnify(
        video,
        magnifier,
        _factors(factor, info) if isinstance(factor, Ramp) else factor,
        controls=controls,
        mode=mode,
        band=band,
        rate=filmed,
        times=times,
        order=order,
        limit=limit,
        average=average,
        stabilize=stabilize,
        device=device,
        precision=precision,
        concurrent=True,
    )
    labels = ("original", f"x{factor}" if isinstance(factor, Ramp) else f"x{factor:g}")
    shown = compared(video, frames, info, labels) if compare else frames
    shown_info = compared_info(info) if compare else info
    try:
        if not isinstance(output, Path):
            return output(shown, shown_info)
        return write_video(
            *(output, shown, shown_info, options),
            sound=video.sound,
            source=video.path,
            progress=progress,
        )
    finally:
        close(shown)
        close(frames)


def _factors(ramp: Ramp, info: VideoInfo) -> list[float]:
    """Return the factor of each frame of a clip."""
    if info.frames is None:
        raise UsageError("a ramp needs a clip whose length is known", "give one factor")
    return ramp.factors([info.time_of(number) for number in range(info.frames)])


def _check_displacement(
    mode: Mode, limit: float | None, average: int | None, axis: float | None
) -> None:
    """Refuse what only a magnifier that measures displacements can do."""
    asked = {
        "the mode follow": mode == "follow",
        "a limit": limit,
        "a mean of frames": (average or 1) > 1,
        "an axis": axis is not None,
    }
    for what, given in asked.items():
        if given:
            raise UsageError(f"{what} needs a magnifier that measures displacements: magnet-fast")


Measure = Callable[[Iterable[Encoded], Work], Iterator[Shown]]


def _measure(
    magnifier: Magnifier,
    mode: Mode,
    bands: Sequence[Band],
    rate: float | Fraction | None,
    times: Sequence[float] | None,
    order: int,
    device: torch.device,
) -> Measure:
    """Return the function from encoded frames to the motion to show in each."""
    if mode == "dynamic":
        return partial(since_last, magnifier=magnifier)
    if mode == "follow":
        assert isinstance(magnifier, DisplacementMagnifier)
        kernel = path_kernel(1.0 if rate is None else rate, bands)
        encode = partial(_encode, magnifier, device)
        filtered = bool(bands)
        return partial(
            off_path, magnifier=magnifier, kernel=kernel, encode=encode, filtered=filtered
        )
    intervals = (later - earlier for earlier, later in pairwise(times or ()))
    filters = partial(BandSum, bands, rate or 1.0, order) if bands else None
    if filters is not None:
        filters()  # refuses what is impossible before the first frame
    return partial(since_first, magnifier=magnifier, make_filter=filters, intervals=intervals)


def _magnified(
    shots: Iterable[ShotFrame],
    magnifier: Magnifier,
    render: Rendering,
    measure: Measure,
    stages: Stages,
) -> Iterator[Frame]:
    encoded = _encoded(stages.split(shots), magnifier, stages)
    measured = measure(stages.split(encoded), stages)
    return stages.split(_rendered(stages.split(measured), render, stages))


def _stabilized(
    frames: Iterable[Frame],
    made: Callable[[Iterable[tuple[Frame, bool]]], Iterator[Frame]],
    how: Stabilize,
    stages: Stages,
) -> Iterator[Frame]:
    """Make something of frames without the camera's motion."""
    camera = Stabilizer(stages.device, how)
    held = camera.held(stages.split(marked(frames)), stages)
    return stages.split(camera.finished(made(held), stages))


def _closing(steps: Iterator[Frame], stages: Stages) -> Iterator[Frame]:
    try:
        yield from steps
    finally:
        stages.close()


def _encode(magnifier: Magnifier, device: torch.device, frame: Frame) -> Any:
    return magnifier.encode(to_tensor(frame, magnifier.stride, device))


def _encoded(shots: Iterable[ShotFrame], magnifier: Magnifier, stages: Stages) -> Iterator[Encoded]:
    """Yield frames with their features."""
    encode = partial(_encode, magnifier, stages.device)
    for item in shots:
        with stages.turn():
            features = encode(item.frame)
        opening = None if item.opening is None else map(encode, item.opening[1:])
        yield Encoded(item.frame, features, opening)
        del item, features, opening


def _rendered(measured: Iterable[Shown], render: Rendering, work: Work) -> Iterator[Frame]:
    """Yield frames that show the motion magnified; those without one as they are."""
    for number, item in enumerate(measured):
        if number == 0:
            render.begin(item.frame)
        if item.motion is None:
            yield item.frame
        else:
            with work.turn():
                picture = render(item, number)
            yield picture
            del picture
        del item


class Rendering:
    """Renders the frames of a clip with the part of their motion that is asked for magnified."""

    def __init__(
        self,
        magnifier: Magnifier,
        factors: Sequence[float],
        limit: float | None,
        controls: Controls,
        device: torch.device,
    ) -> None:
        self.magnifier, self.factors, self.limit = magnifier, factors, limit
        self.controls, self.device = controls, device
        self.region: Region | None = None

    def begin(self, frame: Frame) -> None:
        """Fit the region to the frames; UsageError: it doesn't."""
        amount = self.controls.amount(*frame.shape[:2])
        displaced = isinstance(self.magnifier, DisplacementMagnifier)
        stride = self.magnifier.stride
        if amount is not None:
            self.region = Region(amount, stride, self.device, displaced=displaced)

    def __call__(self, item: Shown, number: int) -> Frame:
        """Render frame `number` of the clip, which has a motion."""
        factor = self.factors[min(number, len(self.factors) - 1)]
        if factor == 1:
            return item.frame
        assert item.motion is not None
        motion, size = self._shown(item.motion, factor, item.frame.shape[:2]), item.frame.shape[:2]
        made = self.magnifier.render(item.features, motion, motion.new_tensor([factor]))
        if self.region is not None:
            frames = to_tensor(item.frame, self.magnifier.stride, self.device)
            made = self.region.composite(frames, made)
        return to_frame(made, size, deep=item.frame.dtype == np.uint16)

    def _shown(self, motion: torch.Tensor, factor: float, size: tuple[int, ...]) -> torch.Tensor:
        """Return the part of displacements that is magnified, limited; other motion as it is."""
        if not isinstance(self.magnifier, DisplacementMagnifier):
            return motion
        motion = self.controls.along_axis(motion)
        if self.region is not None:
            motion = self.region.scaled(motion, self.magnifier.cell)
        limit = default_limit(*size) if self.limit is None else self.limit
        return limited(motion, factor, limit)


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
