"""Frames in, magnified frames out, one at a time: memory doesn't grow with a clip's length."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from magkit.errors import UsageError
from magkit.magnify.band import Band, Mode, check_request
from magkit.magnify.filters import ORDER, BandPass
from magkit.progress import Progress, silent
from magkit.protocols import Magnifier
from magkit.video import open_video, write_video

Frame = NDArray[np.uint8]


def magnify(
    frames: Iterable[Frame],
    magnifier: Magnifier,
    factor: float,
    *,
    mode: Mode = "static",
    band: Band | None = None,
    rate: float | Fraction | None = None,
    order: int = ORDER,
    device: torch.device | str = "cpu",
) -> Iterator[Frame]:
    """Stream frames in which motion is `factor` times as large.

    The first frame comes out as it is: it is the one that motion is measured from.

    Args:
        frames: (H, W, 3) uint8 RGB, of any size, all of one.
        magnifier: What measures and shows motion, on `device` already.
        factor: 0 removes the motion, 1 passes the frames through, up to 300.
        mode: "static" measures motion from the first frame, "dynamic" from the previous one.
        band: Only the part of the motion within these frequencies is changed.
        rate: Frames a second at which the scene was filmed; needed with a band.
        order: Of the Butterworth filter that cuts out the band.
        device: Where frames go to be magnified.

    Returns:
        As many frames as there were, of the same size. Each frame's features are computed once.

    Raises:
        UsageError: The factor, or the band, is impossible, or there is a band in dynamic mode.
    """
    check_request(factor, mode, band)
    part = _filter(band, rate, order)
    if factor == 1:
        return iter(frames)
    return _magnified(frames, magnifier, factor, mode == "dynamic", part, torch.device(device))


def magnify_file(
    source: Path,
    output: Path,
    magnifier: Magnifier,
    factor: float,
    *,
    mode: Mode = "static",
    band: Band | None = None,
    capture_rate: float | None = None,
    order: int = ORDER,
    start: float | None = None,
    end: float | None = None,
    quality: int | None = None,
    device: torch.device | str = "cpu",
    overwrite: bool = False,
    progress: Progress = silent,
) -> int:
    """Magnify a clip into another of the same size, rate, length, colours and sound.

    Args:
        source: A video file, an animated image or a folder of frames.
        output: A video by its suffix, or a folder of PNG frames without one.
        capture_rate: Frames a second at which the scene was filmed, where the clip plays at
            another speed: the band is in hertz of the scene.
        start: Seconds, or None; the sound is cut alike.
        end: Likewise.
        quality: The encoder's constant rate factor; None: near lossless.
        overwrite: Whether an existing output is replaced.
        progress: Hears of every frame written.

    The other arguments are those of `magnify`.

    Returns:
        How many frames were written.

    Raises:
        UsageError: As `magnify`, or the part or output asked for is impossible.
        MagkitError: The clip can't be read, or the output exists or can't be written.
    """
    video = open_video(source, start=start, end=end)
    frames = magnify(
        video,
        magnifier,
        factor,
        mode=mode,
        band=band,
        rate=video.info.rate if capture_rate is None else capture_rate,
        order=order,
        device=device,
    )
    return write_video(
        output,
        frames,
        video.info,
        source=source,
        start=start,
        end=end,
        quality=quality,
        overwrite=overwrite,
        progress=progress,
    )


def _filter(band: Band | None, rate: float | Fraction | None, order: int) -> BandPass | None:
    if band is None:
        return None
    if rate is None:
        raise UsageError(f"the band {band} needs the rate at which the frames were filmed")
    return BandPass(band, rate, order)


@torch.inference_mode()
def _magnified(
    frames: Iterable[Frame],
    magnifier: Magnifier,
    factor: float,
    dynamic: bool,
    part: Callable[[torch.Tensor], torch.Tensor] | None,
    device: torch.device,
) -> Iterator[Frame]:
    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        return
    reference = _encode(magnifier, first, device)
    if part is not None:
        part(magnifier.motion(reference, reference))
    yield first
    times = torch.tensor([factor], device=device)
    for frame in stream:
        current = _encode(magnifier, frame, device)
        motion = magnifier.motion(reference, current)
        shown = motion if part is None else part(motion)
        yield to_frame(magnifier.render(current, shown, times), frame.shape[:2])
        if dynamic:
            reference = current


def _encode(magnifier: Magnifier, frame: Frame, device: torch.device) -> Any:
    return magnifier.encode(to_tensor(frame, magnifier.stride, device))


def to_tensor(frame: Frame, stride: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """A frame (H, W, 3) as floats (1, 3, H', W') in [0, 1], sides reflected to whole strides."""
    height, width = frame.shape[:2]
    below, right = -height % stride, -width % stride
    if below or right:
        # numpy reflects again where a side is shorter than what is missing.
        frame = np.pad(frame, ((0, below), (0, right), (0, 0)), mode="reflect")
    pixels = torch.from_numpy(np.ascontiguousarray(frame)).to(device)
    return pixels.permute(2, 0, 1)[None].float().div_(255)


def to_frame(pictures_NCHW: torch.Tensor, size: tuple[int, ...]) -> Frame:
    """The first picture's upper left corner of (height, width), rounded to 8 bit."""
    height, width = size
    pixels = pictures_NCHW[0, :, :height, :width].mul(255).round_().clamp_(0, 255)
    frame: Frame = pixels.to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
    return frame
