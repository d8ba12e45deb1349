"""A clip's frames as brightness, and the measurement of a clip on disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magkit.measure.checks import cautions
from magkit.measure.clip import Measurement, measure_frames
from magkit.measure.displacement import AVERAGE
from magkit.measure.regions import Region
from magkit.progress import Progress, silent
from magkit.video import Frame, ReadOptions, VideoSource, open_video
from magkit.video.info import LUMA_WEIGHTS, filming


def brightness(frame: Frame, matrix: str = "bt709") -> NDArray[Any]:
    """Return the luma of a frame (H, W, 3) as floats (H, W), white at 1.

    Args:
        frame: uint8 or uint16.
        matrix: ffmpeg's name of the weights, as `VideoInfo.color_matrix`.
    """
    red, blue = LUMA_WEIGHTS.get(matrix, LUMA_WEIGHTS["bt709"])
    luma: NDArray[Any] = frame @ np.array([red, 1 - red - blue, blue])
    return luma / np.iinfo(frame.dtype).max


def measure_file(
    source: Path | VideoSource,
    regions: Sequence[Region] = (),
    *,
    capture_rate: float | None = None,
    average: int = AVERAGE,
    steady: bool = False,
    progress: Progress = silent,
) -> Measurement:
    """Measure regions of a clip; see `measure_frames`.

    Args:
        source: a clip, read once at its full depth.
        regions: where; none: places with texture are chosen.
        capture_rate: frames per second of filming, if the clip plays at another speed.
        average: number of frames whose aligned mean is the reference.
        steady: take the motion of the whole picture out of each region's.
        progress: called after every frame.

    Raises:
        UsageError: a region is outside the frame, or too small.
        MagkitError: the clip can't be read, is too short, or has no texture.
    """
    video = open_video(source, ReadOptions(deep=True)) if isinstance(source, Path) else source
    rate, times = filming(video.info, capture_rate)
    found = measure_frames(
        _frames(video, progress), float(rate), regions, average=average, steady=steady, times=times
    )
    return replace(found, warnings=tuple(cautions(found, _bits_per_pixel(video))))


def _frames(video: VideoSource, progress: Progress) -> Iterator[NDArray[Any]]:
    for number, frame in enumerate(video, 1):
        yield brightness(frame, video.info.color_matrix)
        progress(number, video.info.frames)


def _bits_per_pixel(video: VideoSource) -> float | None:
    """Return the bits of the file for each pixel of its frames, sound included."""
    info = video.info
    if not video.path.is_file() or not info.frames:
        return None
    return video.path.stat().st_size * 8 / (info.width * info.height * info.frames)
