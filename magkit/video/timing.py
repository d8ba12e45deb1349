"""Frame times: a constant rate where frames are evenly spaced, else the time of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from magkit.video.info import snap_rate

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
