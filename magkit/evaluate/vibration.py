"""Frequency and amplitude of a vibration in a real clip before and after, by tracking a patch.

A patch of the clip's first frame is tracked in every frame of the clip and of the magnified clip,
along one axis, by least squares: the best whole number of pixels within REACH, then Gauss-Newton
on a cubic spline, in double precision; no magnifier is involved. The dominant frequency is the
highest peak of the spectrum (linear trend removed, Hann window, zero-padded, parabola through the
logarithms).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import scipy.interpolate
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

from magkit.errors import MagkitError, UsageError
from magkit.measure.spectrum import MIN_FRAMES, evenly_spaced

Array = NDArray[np.floating[Any]]
Frame = NDArray[np.uint8]
Axis = Literal["x", "y"]

REACH = 20  # pixels: range of the search for a patch
SIDE = 48  # pixels: of the patch that is chosen by default
LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True, slots=True)
class Patch:
    """Part of a frame, rows top to bottom, columns left to right, tracked along its axis."""

    top: int
    bottom: int
    left: int
    right: int
    axis: Axis = "x"

    def as_dict(self) -> dict[str, Any]:
        """Return x, y, width and height as "at", and the axis, as in JSON records."""
        at = [self.left, self.top, self.right - self.left, self.bottom - self.top]
        return {"at": at, "axis": self.axis}

    def of(self, frame: Frame, more: int = 0) -> Array:
        """Return luma (across, along), with `more` pixels on either side, edge pixels repeated."""
        rows, columns = np.arange(self.top, self.bottom), np.arange(self.left, self.right)
        if self.axis == "x":
            columns = _extended(columns, more, frame.shape[1])
        else:
            rows = _extended(rows, more, frame.shape[0])
        luma: Array = frame[rows[:, None], columns] @ LUMA
        return luma if self.axis == "x" else luma.T


@dataclass(frozen=True, slots=True)
class Vibration:
    """Vibration of a patch before and after magnification.

    Attributes:
        frequency_before, frequency_after: dominant frequencies in Hz.
        amplitude_before, amplitude_after: pixels, at the dominant frequency of before.
        correlation_before, correlation_after: the lowest of all frames, of the patch with that of
            the first frame.
    """

    frequency_before: float
    frequency_after: float
    amplitude_before: float
    amplitude_after: float
    correlation_before: float
    correlation_after: float

    @property
    def growth(self) -> float:
        """The ratio of the amplitudes."""
        return self.amplitude_after / self.amplitude_before

    @property
    def frequency_error(self) -> float:
        """The change of the dominant frequency, in Hz."""
        return self.frequency_after - self.frequency_before

    def as_dict(self) -> dict[str, float]:
        """Return all figures by their names in JSON records: "tone", "likeness" for the fields."""
        words = {"frequency": "tone", "amplitude": "amplitude", "correlation": "likeness"}
        names = (field.partition("_") for field in asdict(self))
        keys = [f"{words[word]}_{when}" for word, _, when in names]
        figures = dict(zip(keys, asdict(self).values(), strict=True))
        return {**figures, "growth": self.growth, "tone_error": self.frequency_error}


def find_patch(frames: Iterable[Frame]) -> Patch:
    """Return the square of 48 pixels, or less in a small clip, of the greatest frame differences.

    Its axis is that of the greater brightness gradient where frames differ.

    Raises:
        MagkitError: nothing changes in the clip.
    """
    stream = iter(frames)
    last = next(stream) @ LUMA
    energy, slopes = np.zeros_like(last), np.gradient(last)
    for frame in stream:
        luma = frame @ LUMA
        energy += (luma - last) ** 2
        last = luma
    if not energy.max() > 0:
        raise MagkitError("nothing moves in the clip", "--at X,Y,W,H names the place to follow")
    energy = (energy - np.median(energy)).clip(0)
    height, width = (min(side, SIDE) for side in energy.shape)
    sums = scipy.ndimage.uniform_filter(energy, (height, width), mode="constant")
    inside = sums[height // 2 : len(sums) - (height - 1) // 2, width // 2 :]
    inside = inside[:, : sums.shape[1] - width + 1]
    top, left = (int(place) for place in np.unravel_index(inside.argmax(), inside.shape))
    there = np.s_[top : top + height, left : left + width]
    down, across = ((energy * slope**2)[there].sum() for slope in slopes)
    return Patch(top, top + height, left, left + width, "y" if down > across else "x")


def patches_at(place: tuple[int, int, int, int], frame: Frame) -> list[Patch]:
    """Return a rectangle (x, y, width, height) in pixels as patches along either axis.

    Raises:
        UsageError: it isn't within the frame, or smaller than 8 x 8 pixels.
    """
    x, y, width, height = place
    if width < 8 or height < 8:
        raise UsageError("the place to follow must have at least 8 x 8 pixels")
    if x < 0 or y < 0 or x + width > frame.shape[1] or y + height > frame.shape[0]:
        raise UsageError(
            f"the place to follow is outside the frame of {frame.shape[1]} x {frame.shape[0]}"
        )
    return [Patch(y, y + height, x, x + width, axis) for axis in ("x", "y")]


def displacement(first: Array, wide: Array) -> tuple[float, float]:
    """Return a patch's displacement along its last dimension, and the correlation there.

    Args:
        first: the patch, (across, along).
        wide: the frame around it, with REACH + 2 pixels more on either side.
    """
    width, edge = first.shape[1], REACH + 2
    windows = np.lib.stride_tricks.sliding_window_view(wide[:, 2:-2], width, axis=1)
    whole = int(((windows - first[:, None]) ** 2).sum((0, 2)).argmin()) - REACH
    spline = scipy.interpolate.CubicSpline(np.arange(wide.shape[1]), wide, axis=1)
    places, shift = np.arange(edge, edge + width), float(whole)
    for _ in range(6):
        slope, error = spline(places + shift, 1), spline(places + shift) - first
        shift -= float((slope * error).sum() / ((slope**2).sum() + 1e-9))
        shift = min(max(shift, whole - 1.0), whole + 1.0)
    return shift, _correlation(spline(places + shift), first)


def track(first: Frame, frames: Iterable[Frame], patches: Iterable[Patch]) -> Array:
    """Return displacements since the first frame and correlations, (patches, 2, frames)."""
    pairs = [(patch, patch.of(first)) for patch in patches]
    found = [[displacement(t, p.of(frame, REACH + 2)) for p, t in pairs] for frame in frames]
    return np.array(found).transpose(1, 2, 0)


def spectrum(positions: Array, rate: float) -> tuple[Array, Array]:
    """Return frequencies in Hz and amplitudes, scaled so that a sine has its own."""
    window = np.hanning(len(positions))
    values = scipy.signal.detrend(positions) * window
    size = 16 * len(values)
    amplitudes: Array = 2 * np.abs(np.fft.rfft(values, size)) / window.sum()
    return np.fft.rfftfreq(size, 1 / rate), amplitudes


def dominant_frequency(frequencies: Array, amplitudes: Array) -> float:
    """Return the frequency of the highest peak, in Hz."""
    peak = min(max(int(amplitudes.argmax()), 1), len(amplitudes) - 2)
    low, mid, high = np.log(amplitudes[peak - 1 : peak + 2] + 1e-12)
    curve = low - 2 * mid + high
    return float(frequencies[peak] + (low - high) / (2 * curve or -1.0) * frequencies[1])


def compare(before: Array, after: Array, rate: float) -> Vibration:
    """Compare a patch in both clips, by displacements and correlations (2, frames) of each."""
    frequencies, old = spectrum(before[0], rate)
    _, new = spectrum(after[0], rate)
    frequency = dominant_frequency(frequencies, old)
    return Vibration(
        frequency,
        dominant_frequency(frequencies, new),
        float(np.interp(frequency, frequencies, old)),
        float(np.interp(frequency, frequencies, new)),
        float(before[1].min()),
        float(after[1].min()),
    )


def measure(
    source: Iterable[Frame],
    result: Iterable[Frame],
    rate: float,
    place: tuple[int, int, int, int] | None = None,
    times: Sequence[float] | None = None,
) -> tuple[Patch, Vibration]:
    """Measure the vibration of a patch, along the axis of its greater amplitude in the source.

    Args:
        source: the clip's frames; read again each time it is iterated over.
        result: as many frames, magnified.
        rate: frames a second at which the scene was filmed.
        place: x, y, width and height in pixels; None: `find_patch`.
        times: of each frame in seconds, if unevenly spaced: displacements are interpolated to
            even times.

    Raises:
        UsageError: the place is outside the frame.
        MagkitError: the clip has fewer than 16 frames, or nothing moves there.
    """
    first = next(iter(source))
    patches = [find_patch(source)] if place is None else patches_at(place, first)
    before = evenly_spaced(track(first, source, patches), times, rate, axis=-1)
    if before.shape[-1] < MIN_FRAMES:
        raise MagkitError(f"a clip of {before.shape[-1]} frames is too short for a frequency")
    widest = int(np.argmax([spectrum(moves, rate)[1].max() for moves in before[:, 0]]))
    if not np.ptp(before[widest, 0]) > 0:
        raise MagkitError("nothing moves at the place to follow", "--at X,Y,W,H names another")
    after = evenly_spaced(track(first, result, [patches[widest]]), times, rate, axis=-1)
    return patches[widest], compare(before[widest], after[0], rate)


def _extended(places: NDArray[np.intp], more: int, size: int) -> NDArray[np.intp]:
    return np.arange(places[0] - more, places[-1] + 1 + more).clip(0, size - 1)


def _correlation(one: Array, other: Array) -> float:
    one, other = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / norm if norm > 0 else 0.0
