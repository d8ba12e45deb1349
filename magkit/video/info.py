"""The record of a clip (size, times, colours), its reading options, and the fit of a frame rate."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.unsignedinteger[Any]]
"""One frame (H, W, 3), RGB: uint8 with white at 255, or uint16 with white at 65535."""

FrameRangeReader = Callable[[int, int], Iterator[Frame]]
"""Streams frames first <= n < last of a clip."""

ColorRange = Literal["tv", "pc"]

UNKNOWN = "unknown"

_NTSC = tuple(Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 72, 90, 120, 240))


LUMA_WEIGHTS = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt470bg": (0.299, 0.114),
    "smpte170m": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
}
"""The weights of red and blue in luma (ITU-T H.273, table 4), by ffmpeg's name of the matrix."""

DEFAULT_RATE = Fraction(24)
"""Frames per second of a folder without a sidecar, and of a stack that states no rate."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class StaticHdr:
    """Static HDR metadata of a clip (SMPTE ST 2086, CTA-861.3); None where it is unknown.

    Args:
        primaries: CIE 1931 (x, y) of red, green, blue and white of the mastering display.
        luminance: The lowest and the highest of the mastering display, in cd/m2.
        light_levels: MaxCLL and MaxFALL, the brightest pixel and the brightest mean of a frame, in
            cd/m2; 0 is unknown.

    Raises:
        ValueError: A value is out of range.
    """

    primaries: tuple[Point, Point, Point, Point] | None = None
    luminance: Point | None = None
    light_levels: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for point in self.primaries or ():
            if not all(0 < value < 1 for value in point):
                raise ValueError(f"chromaticities lie between 0 and 1, not at {point}")
        # The PQ transfer function ends at 10,000 cd/m2 (SMPTE ST 2084).
        if self.luminance and not 0 <= self.luminance[0] < self.luminance[1] <= 10_000:
            raise ValueError(f"no display has the luminances {self.luminance}")
        # CTA-861.3 stores 16 bits.
        if self.light_levels and not all(0 <= level <= 65_535 for level in self.light_levels):
            raise ValueError(f"light levels run from 0 to 65535, not {self.light_levels}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """Options of opening a clip.

    Args:
        rate: Frames per second of a clip that states no rate or a wrong one. Unevenly spaced frames
            of a video or an animation keep their times.
        deep: Return frames of more than 8 bits as uint16 with white at 65535; otherwise all frames
            are uint8.
        bits: Significant bits of 16-bit pictures that don't state their depth, 8 to 16.
        deinterlace: Merge the two fields of each frame of an interlaced video (bwdif).
        pattern: A glob on the names of a folder's frames, in any case.
        gaps: Accept missing numbers in a folder; each frame keeps the time of its number.
    """

    rate: Fraction | None = None
    deep: bool = False
    bits: int | None = None
    deinterlace: bool = False
    pattern: str = "*"
    gaps: bool = False


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Size, timing, pixel aspect and colours of a clip.

    Args:
        width: In pixels, after the rotation that the file states.
        height: In pixels, after rotation.
        rate: Exact frames per second: 29.97 is 30000/1001. The mean rate of unevenly spaced frames.
        frames: Number of frames; None if unknown. Of a truncated video, the number that its packets
            announce (`count_frames` decodes all of it).
        pixel_aspect: A pixel's width over its height.
        color_range: Range of stored luma: "tv" (16-235) or "pc" (0-255).
        color_matrix: ffmpeg's name of the YCbCr matrix ("smpte170m", "bt709", ...); of an untagged
            file, guessed from its size as players do.
        color_primaries: ffmpeg's name; "unknown" if untagged.
        color_transfer: ffmpeg's name; "unknown" if untagged.
        has_audio: Whether the file has sound tracks.
        times: Of unevenly spaced frames the seconds from the first frame to each, then the end of
            the last frame: one value more than frames. None: frame n is shown at n / rate.
        bits: Stored bits per channel.
        interlaced: Whether a frame holds two fields of different times.
        hdr: Static HDR metadata.
        grey: Whether the source stores grey levels, not colours.
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
    grey: bool = False

    def time_of(self, number: int) -> float:
        """Seconds from the first frame to frame `number`; times past the end follow the rate."""
        if self.times is None:
            return float(number / self.rate)
        past = max(number - len(self.times) + 1, 0)
        return self.times[number - past] + float(past / self.rate)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the end of the last; 0 if their number is unknown."""
        return self.time_of(self.frames or 0)

    @property
    def shortest_step(self) -> float:
        """The shortest interval between two frames, in seconds."""
        if self.times is None:
            return float(1 / self.rate)
        return min(later - earlier for earlier, later in pairwise(self.times))

    def part(self, first: int, last: int) -> "VideoInfo":
        """The record of frames first <= n < last."""
        if self.times is None:
            return replace(self, frames=last - first)
        times = tuple(time - self.times[first] for time in self.times[first : last + 1])
        mean = ((last - first) / Fraction(times[-1])).limit_denominator(1001)
        return replace(self, frames=last - first, times=times, rate=mean)


def filming(
    info: VideoInfo, capture_rate: float | None
) -> tuple[float | Fraction, list[float] | None]:
    """Frames per second of filming, and the times of unevenly spaced frames in the scene's seconds.

    Args:
        info: The record of the clip.
        capture_rate: Frames per second of filming; None: the clip's rate.
    """
    if capture_rate is None or info.times is None:
        rate = info.rate if capture_rate is None else capture_rate
        return rate, None if info.times is None else list(info.times)
    return capture_rate, [time * float(info.rate) / capture_rate for time in info.times]


def plain_info(width: int, height: int, rate: Fraction, frames: int | None = None) -> VideoInfo:
    """The record of an untagged clip, whose colours are guessed from its size."""
    standard = guess_standard(width, height)
    return VideoInfo(width, height, rate, frames, Fraction(1), "tv", standard, standard, standard)


def guess_standard(width: int, height: int) -> str:
    """The colour standard of an untagged clip: BT.709 above SD, else BT.601, as mpv decides it."""
    return "bt709" if width >= 1280 or height > 576 else "smpte170m"


def snap_rate(rate: Fraction) -> Fraction:
    """The exact rate that a container has rounded.

    Containers count time in ticks (Matroska in milliseconds), so 30000/1001 may be stored as
    2997/100 or 29.9709. A rate snaps to a whole or NTSC rate within 1e-5, or within 3e-4 if its
    large denominator shows that it was rounded; 24 and 23.976 differ by 1e-3.
    """
    whole = Fraction(max(round(rate), 1))
    nearest = min((whole, *_NTSC), key=lambda known: abs(known - rate))
    tolerance = Fraction(1, 100_000) if rate.denominator <= 1001 else Fraction(3, 10_000)
    if abs(nearest - rate) <= tolerance * rate:
        return nearest
    return rate.limit_denominator(1001) or rate


UNTIMED_RATE = Fraction(25)
"""Frames per second of a stream without time stamps: ffmpeg's default."""

_FASTEST = 100_000

# For a single frame, containers state 1000 where the rate is unknown.
_FASTEST_STILL = 240

# Shortest interval between two frames, in seconds: a tick of transport streams.
_SHORTEST = 1 / 90_000

# Jitter that still counts as a constant rate: a millisecond, and a tenth of a frame.
_JITTER_SECONDS = Fraction(1, 1000)
_JITTER_FRAMES = Fraction(1, 10)

# Frames per tick.
_COARSEST = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class Timing:
    """Rate and times of frames, as in `VideoInfo`; `stated`: whether the file has time stamps."""

    rate: Fraction
    times: tuple[float, ...] | None = None
    stated: bool = True


def nominal_rate(rate: Fraction) -> Fraction:
    """The stated rate of a file, or 25 if it is impossible."""
    return snap_rate(rate) if 0 < rate <= _FASTEST else UNTIMED_RATE


def fit_timing(
    ticks: Sequence[int], base: Fraction, last_ticks: int, rates: Sequence[Fraction] = ()
) -> Timing:
    """Fit a constant rate to time stamps.

    Args:
        ticks: The time stamp of each frame, ascending.
        base: Seconds per tick.
        last_ticks: Duration of the last frame; 0 if unknown: that of the frame before.
        rates: Constant rates that are tried before the mean rate.

    Returns:
        The first rate for which `is_constant` holds; the time of each frame if there is none.
    """
    if len(ticks) < 2:
        lasting = [snap_rate(1 / (last_ticks * base))] if last_ticks > 0 else []
        plausible = (rate for rate in (*lasting, *rates) if rate <= _FASTEST_STILL)
        return Timing(next(plausible, UNTIMED_RATE))
    if all(later - earlier == 1 for earlier, later in pairwise(ticks)):
        return Timing(snap_rate(1 / base))
    span = (ticks[-1] - ticks[0]) * base
    mean = snap_rate((len(ticks) - 1) / span) if span else UNTIMED_RATE
    for rate in rates:
        if is_constant(ticks, base, rate):
            return Timing(rate)
    # Where a tick is as long as a frame, a mean rate would hide a frame that is missing.
    if mean * base <= _COARSEST and is_constant(ticks, base, mean):
        return Timing(mean)
    steps = [*ticks, ticks[-1] + (last_ticks or ticks[-1] - ticks[-2])]
    times = _strictly_increasing([float((tick - ticks[0]) * base) for tick in steps])
    return Timing((len(ticks) / Fraction(times[-1])).limit_denominator(1001), times)


def _strictly_increasing(times: list[float]) -> tuple[float, ...]:
    """Strictly increasing times, where ticks are too coarse to separate two frames."""
    for number in range(1, len(times)):
        times[number] = max(times[number], times[number - 1] + _SHORTEST)
    return tuple(times)


def is_constant(ticks: Sequence[int], base: Fraction, rate: Fraction) -> bool:
    """Whether frame n lies at n / rate but for rounding and jitter; False without ticks."""
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


def is_increasing(ticks: Sequence[int]) -> bool:
    """Whether time stamps strictly increase."""
    return all(a < b for a, b in pairwise(ticks))


_TOLERANCE = 1e-4  # seconds, for rounded times


def resampled_info(info: VideoInfo, rate: Fraction) -> VideoInfo:
    """The record of a clip after `resample`."""
    count = max(1, math.ceil((info.duration - _TOLERANCE) * rate))
    return replace(info, rate=rate, frames=count, times=None)


def resample(frames: Iterable[Frame], times: Sequence[float], rate: Fraction) -> Iterator[Frame]:
    """Yield the frame that is shown at 0, 1 / rate, 2 / rate, ... seconds, until the clip ends.

    Args:
        frames: One fewer than times.
        times: As `VideoInfo.times`.
        rate: Frames per second of the result.
    """
    count = 0
    for frame, end in zip(frames, times[1:], strict=False):
        while count / rate < end - _TOLERANCE:
            yield frame
            count += 1
