"""What is known of a clip besides its pixels, and the frame rates that the world uses."""

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from magkit.video.hdr import StaticHdr

Frame = NDArray[np.unsignedinteger[Any]]
"""One frame (H, W, 3), RGB: uint8, 255 the brightest, or uint16, 65535 the brightest."""

ColorRange = Literal["tv", "pc"]

UNKNOWN = "unknown"

_NTSC = tuple(Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 72, 90, 120, 240))


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """How a clip is shown: its size, rate, shape of pixels and colours.

    Args:
        width: Pixels, as displayed upright (a rotation in the file is applied already).
        height: Likewise.
        rate: Frames a second, exact: 29.97 is 30000/1001. Where frames are unevenly spaced this is
            their mean rate.
        frames: How many frames there are; None where that is unknown. Where a video breaks off, it
            is what its packets promise (`count_frames` decodes all of it).
        pixel_aspect: A pixel's width over its height; 1 where pixels are square.
        color_range: "tv" (16-235) or "pc" (0-255): how luma is stored in the video.
        color_matrix: The YCbCr matrix as ffmpeg spells it ("smpte170m", "bt709", ...), guessed as
            players do where the file doesn't tell.
        color_primaries: As ffmpeg spells them, "unknown" where the file doesn't tell.
        color_transfer: Likewise.
        has_audio: Whether sound goes with the picture.
        times: Of unevenly spaced frames the seconds from the first frame to each, and last the end
            of the last frame: one value more than frames. None: frame n comes at n / rate.
        bits: Bits of a colour channel as stored.
        interlaced: Whether a frame holds two fields, taken at different times.
        hdr: Static HDR metadata, if the clip has any.
    """

    width: int
    height: int
    rate: Fraction
    frames: int | None = None
    pixel_aspect: Fraction = Fraction(1)
    color_range: ColorRange = "tv"
    color_matrix: str = "bt709"
    color_primaries: str = "bt709"
    color_transfer: str = "bt709"
    has_audio: bool = False
    times: tuple[float, ...] | None = None
    bits: int = 8
    interlaced: bool = False
    hdr: StaticHdr | None = None

    def time_of(self, number: int) -> float:
        """Seconds from the first frame to `number`; what follows the last comes at the rate."""
        if self.times is None:
            return float(number / self.rate)
        beyond = max(number - len(self.times) + 1, 0)
        return self.times[number - beyond] + float(beyond / self.rate)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the end of the last; 0 where their number is unknown."""
        return self.time_of(self.frames or 0)

    @property
    def shortest_step(self) -> float:
        """Seconds between the two frames that are closest to each other."""
        if self.times is None:
            return float(1 / self.rate)
        return min(later - earlier for earlier, later in pairwise(self.times))

    def part(self, first: int, last: int) -> "VideoInfo":
        """The record of the frames first <= n < last."""
        if self.times is None:
            return replace(self, frames=last - first)
        times = tuple(time - self.times[first] for time in self.times[first : last + 1])
        mean = ((last - first) / Fraction(times[-1])).limit_denominator(1001)
        return replace(self, frames=last - first, times=times, rate=mean)


def plain_info(width: int, height: int, rate: Fraction, frames: int | None = None) -> VideoInfo:
    """The record of a clip that says nothing of its colours: they follow from its size."""
    standard = guess_standard(width, height)
    return VideoInfo(
        width,
        height,
        rate,
        frames,
        color_matrix=standard,
        color_primaries=standard,
        color_transfer=standard,
    )


def guess_standard(width: int, height: int) -> str:
    """The colour standard of an untagged clip: BT.709 above SD, else BT.601, as mpv decides it."""
    return "bt709" if width >= 1280 or height > 576 else "smpte170m"


def snap_rate(rate: Fraction) -> Fraction:
    """The rate that a file means by one which its container rounded.

    Containers count time in ticks (Matroska in milliseconds), so that 30000/1001 may come out as
    2997/100 or 29.9709. Whole rates and the NTSC family are snapped to when they are within 1e-5
    of a rate, or within 3e-4 of one that is plainly the result of rounding (a large denominator);
    24 and 23.976, 1e-3 apart, are never confused.
    """
    whole = Fraction(max(round(rate), 1))
    nearest = min((whole, *_NTSC), key=lambda known: abs(known - rate))
    tolerance = Fraction(1, 100_000) if rate.denominator <= 1001 else Fraction(3, 10_000)
    if abs(nearest - rate) <= tolerance * rate:
        return nearest
    return rate.limit_denominator(1001) or rate
