"""Unevenly spaced frames at a constant rate."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from magkit.video.info import Frame, VideoInfo

# A frame that comes this much after a time is still shown at it: times are rounded.
_TOLERANCE = 1e-4  # seconds


def resampled_info(info: VideoInfo, rate: Fraction) -> VideoInfo:
    """The record of a clip whose frames `resample` spaces evenly."""
    count = max(1, math.ceil((info.duration - _TOLERANCE) * rate))
    return replace(info, rate=rate, frames=count, times=None)


def resample(frames: Iterable[Frame], times: Sequence[float], rate: Fraction) -> Iterator[Frame]:
    """Yield the frame that is shown at 0, 1 / rate, 2 / rate, ... seconds, until the clip ends.

    Args:
        frames: As many as there are times but one.
        times: Seconds from the first frame to each, and last the end of the last one.
        rate: Frames a second that come out.
    """
    count = 0
    for frame, end in zip(frames, times[1:], strict=False):
        while count / rate < end - _TOLERANCE:
            yield frame
            count += 1
