"""The record of a clip: size, times or rate, colours."""

import math
from collections.abc import Iterable, Iterator, Sequence
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


FALLBACK_RATE = Fraction(25)
"""Frames a second of a stream that tells no times: ffmpeg's own default."""

_FASTEST = 100_000

# One frame alone is filmed no faster: a container says 1000 where it knows nothing.
_FASTEST_STILL = 240

# Seconds between two frames at least: the ticks of transport streams.
_SHORTEST = 1 / 90_000

# Jitter below these is not worth a list of times: a millisecond, and a tenth of a frame.
_JITTER_SECONDS = Fraction(1, 1000)
_JITTER_FRAMES = Fraction(1, 10)

# Frames a tick.
_COARSEST = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class Timing:
    """When frames are shown.

    Args:
        rate: Frames a second: exact where they are evenly spaced, else their mean rate.
        times: Of unevenly spaced frames the seconds from the first to each, and last the end of the
            last one; None for evenly spaced ones.
        stated: Whether the file tells times at all.
    """

    rate: Fraction
    times: tuple[float, ...] | None = None
    stated: bool = True


def nominal_rate(rate: Fraction) -> Fraction:
    """The rate that a file states, or 25 where what it states is none."""
    return snap_rate(rate) if 0 < rate <= _FASTEST else FALLBACK_RATE


def fit(
    ticks: Sequence[int], base: Fraction, last_ticks: int, rates: Sequence[Fraction] = ()
) -> Timing:
    """Describe frames by their time stamps.

    Args:
        ticks: The time stamp of each frame, none earlier than the one before.
        base: Seconds a tick.
        last_ticks: How long the last frame is shown; 0 where that is unknown, and it is taken to
            last as long as the one before.
        rates: Constant rates that are tried before the one that the stamps suggest.

    Returns:
        The first rate at which frame n lies at n / rate within the rounding of stamps to ticks, or
        within a jitter of a millisecond; the time of each frame where none fits.
    """
    if len(ticks) < 2:
        lasting = [snap_rate(1 / (last_ticks * base))] if last_ticks > 0 else []
        plausible = (rate for rate in (*lasting, *rates) if rate <= _FASTEST_STILL)
        return Timing(next(plausible, FALLBACK_RATE))
    if all(later - earlier == 1 for earlier, later in pairwise(ticks)):
        return Timing(snap_rate(1 / base))
    span = (ticks[-1] - ticks[0]) * base
    mean = snap_rate((len(ticks) - 1) / span) if span else FALLBACK_RATE
    for rate in rates:
        if is_constant(ticks, base, rate):
            return Timing(rate)
    # Where a tick is as long as a frame, a mean rate would hide a frame that is missing.
    if mean * base <= _COARSEST and is_constant(ticks, base, mean):
        return Timing(mean)
    steps = [*ticks, ticks[-1] + (last_ticks or ticks[-1] - ticks[-2])]
    times = _apart([float((tick - ticks[0]) * base) for tick in steps])
    return Timing((len(ticks) / Fraction(times[-1])).limit_denominator(1001), times)


def _apart(times: list[float]) -> tuple[float, ...]:
    """Times that rise, where a file's ticks are too coarse to tell two frames apart."""
    for number in range(1, len(times)):
        times[number] = max(times[number], times[number - 1] + _SHORTEST)
    return tuple(times)


def is_constant(ticks: Sequence[int], base: Fraction, rate: Fraction) -> bool:
    """Whether frame n lies at n / rate, apart from rounding to ticks and jitter.

    There is no such rate where there are no time stamps.
    """
    if not ticks:
        return False
    # Deviations in units of 1 / (rate's numerator * base's denominator) seconds: exact integers.
    step, frame = base.numerator * rate.numerator, base.denominator * rate.denominator
    deviations = [tick * step - number * frame for number, tick in enumerate(ticks)]
    spread = max(deviations) - min(deviations)
    # Rounding down or to nearest keeps deviations less than a tick apart; a frame that is left out
    # where a tick is a frame puts them exactly one apart.
    jitter = min(_JITTER_SECONDS, _JITTER_FRAMES / rate) * base.denominator * rate.numerator
    return spread < step or spread <= jitter


def rising(ticks: Sequence[int]) -> bool:
    """Whether each time stamp is later than the one before."""
    return all(a < b for a, b in pairwise(ticks))


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
