"""Spectra of displacements: noise floor, detection limit, and the tones above it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.interpolate
import scipy.ndimage
import scipy.optimize
import scipy.signal
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

MIN_FRAMES = 16  # of a spectrum
FALSE_ALARMS = 1e-3  # of a region of pure noise: chance of a tone, in one direction
MIN_CYCLES = 3.0  # in the clip: slower changes are drift
NEIGHBOURS = 16  # bins on each side over which the floor is estimated
GUARD, TRAINING = 2, 6  # bins on each side: of a peak, and beside it, whose mean it must exceed
BESIDE_ALARMS = 3e-3  # chance that noise is as prominent as a tone must be
PAIR = 1.5  # times the limit: each of two tones that hide one another
TONES = 8  # most of one direction
APART = 1.5  # bins: closer tones aren't told apart
PADDED = 4  # length of the transform over that of the clip
MEDIAN = math.log(2)  # of the power of noise, whose mean is one
NORMAL = 1.96  # standard deviations of a 95 % interval


@dataclass(frozen=True, slots=True)
class Tone:
    """A sine in one direction.

    Attributes:
        frequency: Hz.
        amplitude: half of peak to peak, pixels.
        phase: of its sine at the first frame, radians.
        frequency_error: half of the 95 % interval, Hz.
        amplitude_error: likewise, pixels.
        limit: amplitude from which on it would have been found, pixels.
    """

    frequency: float
    amplitude: float
    phase: float
    frequency_error: float
    amplitude_error: float
    limit: float


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The spectrum of a displacement in one direction.

    Attributes:
        frequencies: Hz, (F,), from 0 to half the rate.
        amplitudes: pixels, (F,): a sine of a bin's frequency has its own amplitude (Hann window).
        floor: root mean square of the amplitudes that noise has, pixels, (F,).
        limit: amplitudes from which on a tone is no noise, pixels, (F,); infinite for drift and at
            half the rate.
        tones: above the limit, the greatest first.
    """

    frequencies: Array
    amplitudes: Array
    floor: Array
    limit: Array
    tones: tuple[Tone, ...]


def evenly_spaced(
    values: Array, times: Sequence[float] | None, rate: float, axis: int = 0
) -> Array:
    """Interpolate values to even times, by cubic splines.

    Args:
        values: with T frames along the axis.
        times: of each frame in seconds, ascending from 0; more are ignored. None: they are even.
        rate: of the result, per second.
        axis: of time.
    """
    count = values.shape[axis]
    if times is None or count < 2:
        return values
    measured = np.asarray(times[:count])
    even: Array = scipy.interpolate.CubicSpline(measured, values, axis=axis)(
        np.arange(0, measured[-1], 1 / rate)
    )
    return even


def analyze(displacement: Array, rate: float, deviation: float) -> Spectrum:
    """Find the tones of a displacement that noise doesn't explain.

    The strongest tone is fitted by least squares and subtracted until none is above the limit. Of
    what is left, the floor is the greatest of three: what the Cramer-Rao limit predicts, the median
    over the whole spectrum, and that over the bins around each frequency.

    Args:
        displacement: pixels, at even times, (T,), at least 16.
        rate: frames per second.
        deviation: standard deviation of the noise of a displacement, pixels; see `Track`.
    """
    time = np.arange(len(displacement)) / rate
    frequencies = np.fft.rfftfreq(PADDED * len(time), 1 / rate)
    left = scipy.signal.detrend(displacement)
    amplitudes = hann_amplitudes(left)
    found: list[float] = []
    while True:
        rest = left - _sines(left, time, found)
        seen, floor = hann_amplitudes(rest), noise_floor(rest, deviation)
        limit = _limit(rest, floor, frequencies, rate)
        height = np.where(_near(frequencies, found, APART * rate / len(time)), 0, seen / limit)
        if len(found) == TONES:
            break
        if height.max() < 1:
            pair = _masked(left, time, found, frequencies, deviation)
            if not pair or len(found) + 2 > TONES:
                break
            found += pair
            continue
        found.append(_refined(rest, time, frequencies[height.argmax()], rate))
    tones = _tones(left, time, found, frequencies, floor, limit)
    return Spectrum(frequencies, amplitudes, floor, limit, tones)


def hann_amplitudes(values: Array) -> Array:
    """Return the amplitudes of the padded spectrum, scaled so that a sine has its own."""
    window = scipy.signal.windows.hann(len(values), sym=False)
    seen = np.fft.rfft(values * window, PADDED * len(values))
    amplitudes: Array = 2 * np.abs(seen) / window.sum()
    return amplitudes


def noise_floor(rest: Array, deviation: float) -> Array:
    """Return the root mean square amplitude of noise at each frequency of the padded spectrum.

    Args:
        rest: displacement without its tones, pixels, (T,).
        deviation: standard deviation of its noise at least, pixels.
    """
    least = white_noise_floor(deviation, len(rest)) ** 2
    power = hann_amplitudes(rest) ** 2
    bins = power[::PADDED]
    local = scipy.ndimage.median_filter(bins, min(2 * NEIGHBOURS + 1, len(bins)), mode="reflect")
    local = np.maximum(local, np.median(bins)) / MEDIAN
    floor: Array = np.sqrt(np.maximum(local, least))
    return np.interp(np.arange(len(power)) / PADDED, np.arange(len(floor)), floor)


def white_noise_floor(deviation: float, count: int) -> float:
    """Return the root mean square amplitude of white noise in a spectrum of `count` values."""
    # A Hann window has 1.5 times the noise bandwidth of none (Harris, Proc. IEEE 1978, table 1).
    return math.sqrt(6 / count) * deviation


def threshold(count: int) -> float:
    """Return the amplitude that the greatest of all bins of noise seldom reaches, over its floor.

    Args:
        count: number of values in time.
    """
    # The power of noise is exponentially distributed, in some count / 2 independent bins.
    return math.sqrt(math.log(count / 2 / FALSE_ALARMS))


def _limit(rest: Array, floor: Array, frequencies: Array, rate: float) -> Array:
    """Return the amplitude from which on a tone is no noise."""
    limit = threshold(len(rest)) * floor
    bin_width = rate / len(rest)
    unknown = _unknown(frequencies, rate, bin_width)
    return np.where(unknown, np.inf, np.maximum(limit, _prominent(rest)))


def _prominent(rest: Array) -> Array:
    """Return the amplitude from which on a peak stands out from the spectrum on both sides.

    A peak on the slope of red noise isn't a tone: greatest-of constant false alarm rate detection
    (Hansen & Sawyers, IEEE Transactions on Aerospace and Electronic Systems 1980). The fewer bins
    there are on a side, the less is known of the noise there, and the more is asked for.
    """
    power = hann_amplitudes(rest) ** 2
    sums = np.concatenate([[0], power.cumsum()])
    near, far = GUARD * PADDED, (GUARD + TRAINING) * PADDED
    bins = np.arange(len(power))

    def asked(start: NDArray[np.int64], stop: NDArray[np.int64]) -> Array:
        start, stop = (each.clip(0, len(power)) for each in (start, stop))
        count = ((stop - start) / PADDED).clip(1)
        threshold = count * (BESIDE_ALARMS ** (-1 / count) - 1)
        power_asked: Array = threshold * (sums[stop] - sums[start]) / (stop - start).clip(1)
        return power_asked

    below, above = asked(bins - far, bins - near), asked(bins + near + 1, bins + far + 1)
    prominent: Array = np.sqrt(np.maximum(below, above))
    return prominent


def _masked(
    left: Array, time: Array, found: list[float], frequencies: Array, deviation: float
) -> list[float]:
    """Return two tones near each other, each of which hides that the other is prominent; or none.

    Both are taken out, and each must then exceed `PAIR` times the limit: of red noise, what is left
    beside two of its peaks tells less than what is beside one. Beside a tone that is found already
    there are none: a tone that decays or is modulated has sidebands.
    """
    rate, rest = 1 / (time[1] - time[0]), left - _sines(left, time, found)
    bin_width = rate / len(rest)
    least = threshold(len(rest)) * noise_floor(rest, deviation)
    reach = (GUARD + TRAINING) * bin_width
    unknown = _unknown(frequencies, rate, bin_width) | _near(frequencies, found, reach)
    seen = np.where(unknown, 0, hann_amplitudes(rest))
    if (seen < least).all():
        return []
    one = _refined(rest, time, frequencies[(seen / least).argmax()], rate)
    other_seen = hann_amplitudes(rest - _sines(rest, time, [one]))
    beside = _near(frequencies, [one], reach)
    other_seen[unknown | ~beside | _near(frequencies, [one], APART * bin_width)] = 0
    other = _refined(rest - _sines(rest, time, [one]), time, frequencies[other_seen.argmax()], rate)
    one = _refined(rest - _sines(rest, time, [other]), time, one, rate)
    rest = left - _sines(left, time, [*found, one, other])
    floor = noise_floor(rest, deviation)
    limit = PAIR * _limit(rest, floor, frequencies, rate)
    tones = _tones(left, time, [*found, one, other], frequencies, floor, limit)
    kept = {tone.frequency for tone in tones}
    return [one, other] if {one, other} <= kept else []


def _unknown(frequencies: Array, rate: float, bin_width: float) -> NDArray[np.bool_]:
    """Return where there is drift, or sine and cosine aren't told apart: at half the rate."""
    unknown: NDArray[np.bool_] = frequencies < MIN_CYCLES * bin_width
    return unknown | (frequencies > rate / 2 - bin_width)


def _near(frequencies: Array, found: list[float], distance: float) -> NDArray[np.bool_]:
    near = np.zeros(len(frequencies), bool)
    for frequency in found:
        near |= np.abs(frequencies - frequency) < distance
    return near


def _refined(values: Array, time: Array, frequency: float, rate: float) -> float:
    """Return the frequency near a peak whose sine fits best: the maximum likelihood estimate."""
    step = rate / len(values) / PADDED
    found = scipy.optimize.minimize_scalar(
        lambda each: ((values - _sines(values, time, [each])) ** 2).sum(),
        bounds=(frequency - 2 * step, frequency + 2 * step),
        method="bounded",
        options={"xatol": step * 1e-4},
    )
    return float(found.x)


def _design(time: Array, found: list[float]) -> Array:
    angles = 2 * np.pi * np.outer(time, found)
    return np.hstack([np.sin(angles), np.cos(angles), np.ones((len(time), 1)), time[:, None]])


def _sines(values: Array, time: Array, found: list[float]) -> Array:
    """Return the least-squares fit of sines and a trend."""
    design = _design(time, found)
    fit: Array = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return fit


def _tones(
    values: Array, time: Array, found: list[float], frequencies: Array, floor: Array, limit: Array
) -> tuple[Tone, ...]:
    """Fit all tones together, and state their intervals."""
    solution = np.linalg.lstsq(_design(time, found), values, rcond=None)[0]
    span, tones = len(time) * (time[1] - time[0]), []
    for number, frequency in enumerate(found):
        sine, cosine = solution[number], solution[number + len(found)]
        amplitude = math.hypot(sine, cosine)
        # Without a window, the amplitude's variance is 2 s^2 / T; the floor's square is 6 s^2 / T.
        error = NORMAL * float(np.interp(frequency, frequencies, floor)) / math.sqrt(3)
        # Rife & Boorstyn, IEEE Transactions on Information Theory 1974, equation 34.
        slope = math.sqrt(3) / (math.pi * span * amplitude)
        limited = float(np.interp(frequency, frequencies, limit))
        if amplitude < limited:
            continue
        tones.append(
            Tone(
                frequency,
                amplitude,
                math.atan2(cosine, sine),
                error * slope,
                error,
                limited,
            )
        )
    return tuple(sorted(tones, key=lambda tone: -tone.amplitude))
