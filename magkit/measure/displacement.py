"""Displacements of regions by least squares against the aligned mean of a clip's first frames.

The model of a frame in a region is a x reference(x - d) + b: displacement, contrast and brightness.
It is fitted by Gauss-Newton iterations (Lucas & Kanade, IJCAI 1981). The reference is interpolated,
not the frame, by a quintic B-spline (Unser, IEEE Signal Processing Magazine 1999): noise stays
white, and the fit reaches the Cramer-Rao limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain, islice
from typing import Any

import numpy as np
import scipy.interpolate
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

from magkit.measure.regions import Region

Array = NDArray[np.floating[Any]]
Places = NDArray[np.int64]

ORDER = 5  # of the spline
TAPS = np.arange(-3, 4)  # pixels of the spline that a sample within half a pixel needs
MARGIN = 16  # pixels around a region whose neighbours the spline's filter needs
AVERAGE = 16  # frames of the reference
TOGETHER = 200_000  # pixels of the regions that are fitted together
ITERATIONS = 12
CONVERGED = 1e-4  # pixels: the last step's length, of which the next is a small part
REACH = 24  # pixels: range of the search for a region that is lost
LOST = 0.7  # correlation below which a region is searched
BASIS = scipy.interpolate.BSpline.basis_element(np.arange(ORDER + 2) - (ORDER + 1) / 2, False)
SLOPE = BASIS.derivative()


def _noise_gain() -> scipy.interpolate.PPoly:
    """Return the power of interpolated white noise over its own, by the shift in pixels."""
    impulse = np.zeros(65)
    impulse[32] = 1
    coefficients = scipy.ndimage.spline_filter1d(impulse, ORDER, mode="mirror")
    shifts = np.linspace(-0.5, 0.5, 33)
    samples = [np.convolve(coefficients, np.nan_to_num(BASIS(TAPS - f))) for f in shifts]
    return scipy.interpolate.CubicSpline(shifts, (np.array(samples) ** 2).sum(1))


NOISE_GAIN = _noise_gain()
NOISE_GAIN_SLOPE = NOISE_GAIN.derivative()


@dataclass(frozen=True, slots=True)
class Track:
    """The displacement of a region in a clip.

    Attributes:
        region: in the clip's first frame.
        displacement: x and y in pixels, (T, 2), relative to the reference; interpolated in time
            where the correlation is below `LOST`.
        deviation: standard deviation of each displacement that noise causes at least, pixels (2,):
            the Cramer-Rao limit, with the residual as the noise.
        correlation: of the region with the displaced reference in every frame, (T,).
        brightness: the contrast a of every frame, relative to the reference, (T,).
    """

    region: Region
    displacement: Array
    deviation: Array
    correlation: Array
    brightness: Array


@dataclass(frozen=True, slots=True)
class _Fit:
    """Fits of R regions in a frame."""

    displacement: Array  # or how it changes in a step, (R, 2)
    variance: Array  # of the residual, (R,)
    information: Array  # inverse covariance of the displacement for a residual of one, (R, 2, 2)
    correlation: Array  # (R,)
    contrast: Array  # (R,)

    def put(self, places: Places, other: _Fit) -> None:
        """Replace the fits of some regions by those of another, in its order."""
        for field in fields(self):
            getattr(self, field.name)[places] = getattr(other, field.name)

    def take(self, places: Places) -> _Fit:
        """Return the fits of some regions."""
        return _Fit(*(getattr(self, field.name)[places] for field in fields(self)))


class _References:
    """Spline coefficients of R equally large regions, without their mean levels.

    Args:
        pictures: each region with `MARGIN` pixels around it, (R, h + 2 MARGIN, w + 2 MARGIN).
        regions: where they are.
        count: number of frames of which they are the mean.
    """

    def __init__(self, pictures: Array, regions: Sequence[Region], count: int) -> None:
        self.count = count
        self.searched = np.ones(len(regions), bool)  # those with texture, if they are lost
        self.levels = pictures.mean((1, 2), keepdims=True)
        self.coefficients = _coefficients(pictures - self.levels)
        self.rows = np.array([r.top + np.arange(r.height) for r in regions])
        self.columns = np.array([r.left + np.arange(r.width) for r in regions])

    def sample(self, part: Array, chosen: Places) -> Array:
        """Return references at x - part, and their gradients in x and y, (R, 3, h, w).

        Args:
            part: pixels, (R, 2), each within half a pixel.
            chosen: which references.
        """
        coefficients = self.coefficients[chosen]
        columns, slopes_x = _weights(part[:, 0], self.columns.shape[1])
        rows, slopes_y = _weights(part[:, 1], self.rows.shape[1])
        across = coefficients @ columns.transpose(0, 2, 1)
        sampled = np.empty((len(part), 3, rows.shape[1], columns.shape[1]))
        np.matmul(rows, across, out=sampled[:, 0])
        np.matmul(rows, coefficients @ slopes_x.transpose(0, 2, 1), out=sampled[:, 1])
        np.matmul(slopes_y, across, out=sampled[:, 2])
        return sampled

    def cut(self, frame: Array, whole: Places, chosen: Places) -> Array:
        """Return chosen regions displaced by whole pixels (R, 2); borders are repeated."""
        rows = (self.rows[chosen] + whole[:, 1:]).clip(0, frame.shape[0] - 1)
        columns = (self.columns[chosen] + whole[:, :1]).clip(0, frame.shape[1] - 1)
        parts: Array = frame[rows[:, :, None], columns[:, None]] - self.levels[chosen]
        return parts

    def fit(self, frame: Array, start: Array, moving: Places) -> _Fit:
        """Fit the displacements of some regions, starting from `start` (R, 2) in pixels."""
        count = len(start)
        zeros = (np.zeros(count) for _ in range(3))
        found = _Fit(start.copy(), next(zeros), np.zeros((count, 2, 2)), *zeros)
        for _ in range(ITERATIONS):
            moving = moving[self._step(frame, found, moving)]
            if not len(moving):
                break
        return found

    def _step(self, frame: Array, found: _Fit, chosen: Places) -> NDArray[np.bool_]:
        """Improve the fits of chosen regions in place; return which have not converged."""
        d = found.displacement[chosen]
        whole = np.rint(d).astype(np.int64)
        before = found.variance[chosen]
        noise = _noise_slope(d - whole) * (before / (self.count + 1))[:, None]
        seen = self.cut(frame, whole, chosen)
        change = _solved(seen, self.sample(d - whole, chosen), noise)
        step = change.displacement
        # A step beyond a pixel leaves the range of the linear model.
        found.put(chosen, replace(change, displacement=d + step.clip(-1, 1)))
        # As long as the residual falls, it isn't noise, and `noise` was too large.
        moves: NDArray[np.bool_] = change.variance < 0.5 * before
        moves |= np.abs(step).max(1) >= CONVERGED
        return moves


def _noise_slope(part: Array) -> Array:
    """Return the derivatives (R, 2) of the power of interpolated noise in x and in y."""
    gains, slopes = NOISE_GAIN(part), NOISE_GAIN_SLOPE(part)
    slope: Array = slopes * gains[:, ::-1]
    return slope


def _coefficients(pictures: Array) -> Array:
    """Return spline coefficients of pictures (R, H, W), without all but three of the margin."""
    filtered = scipy.ndimage.spline_filter1d(pictures, ORDER, 1, mode="mirror")
    filtered = scipy.ndimage.spline_filter1d(filtered, ORDER, 2, mode="mirror")
    cut = MARGIN + int(TAPS[0])
    coefficients: Array = filtered[:, cut:-cut, cut:-cut]
    return coefficients


def _solved(seen: Array, sampled: Array, noise: Array) -> _Fit:
    """Fit seen = a value - p x - q y + b, and return the displacement's change (p, q) / a.

    `sampled` is value, x and y, (R, 3, h, w), of which levels are small. Interpolation between
    pixels smooths the reference's noise, so that squares favour displacements near half a pixel.
    `noise`, the derivative of that noise's mean square (R, 2), takes this out.
    """
    count = seen.shape[1] * seen.shape[2]
    target, design = seen.reshape(len(seen), 1, count), sampled.reshape(len(seen), 3, count)
    # Means are taken out of the sums of products; the gradients' sign is that of the model.
    sign = np.array([1, -1, -1])
    level, levels = target.mean(2), sign * design.mean(2)
    normal = sign[:, None] * sign * (design @ design.transpose(0, 2, 1))
    normal -= count * levels[:, :, None] * levels[:, None]
    normal += 1e-12 * np.eye(3)  # for flat regions
    right = sign * (design @ target.transpose(0, 2, 1))[..., 0] - count * levels * level
    right[:, 1:] += count / 2 * noise
    solution = np.linalg.solve(normal, right[..., None])[..., 0]
    energy = (target @ target.transpose(0, 2, 1))[:, 0, 0] - count * level[:, 0] ** 2
    residual = (energy - (solution * right).sum(1)).clip(0)
    contrast = np.where(np.abs(solution[:, 0]) > 0.05, solution[:, 0], np.inf)
    # What the displacement explains beyond the contrast: the Schur complement.
    shared = normal[:, 1:, :1] @ normal[:, :1, 1:] / normal[:, :1, :1]
    information = (normal[:, 1:, 1:] - shared) * solution[:, :1, None] ** 2
    alike = right[:, 0] / np.sqrt(normal[:, 0, 0] * energy + 1e-24)
    step = solution[:, 1:] / contrast[:, None]
    return _Fit(step, residual / (count - 4), information, alike, solution[:, 0])


def _weights(part: Array, count: int) -> tuple[Array, Array]:
    """Return matrices (R, count, count + 6) from coefficients to samples, and to their slopes."""
    places = -part[:, None] - TAPS
    matrices = []
    for function in (BASIS, SLOPE):
        values = np.nan_to_num(function(places))
        matrix = np.zeros((len(part), count, count + len(TAPS) - 1))
        rows = np.arange(count)
        for tap, value in enumerate(values.T):
            matrix[:, rows, rows + tap] = value[:, None]
        matrices.append(matrix)
    return matrices[0], matrices[1]


def track(
    frames: Iterable[Array], regions: Sequence[Region], average: int = AVERAGE
) -> list[Track]:
    """Measure the displacement of regions in every frame.

    Args:
        frames: brightness (H, W) of each.
        regions: where, in the first frame.
        average: number of frames whose aligned mean is the reference.

    Returns:
        A track of each region, in order. Frames are read once, and `average` are held.

    Raises:
        UsageError: a region is outside the frame, or too small.
    """
    stream = iter(frames)
    opening = list(islice(stream, max(average, 1)))
    if not opening or not regions:
        return []
    for region in regions:
        region.check(*opening[0].shape)
    groups = _by_size(regions)
    bands = [[regions[index] for index in group] for group in groups]
    references = [_reference(opening, band) for band in bands]
    fits = _fits(chain(opening, stream), references)
    found = [
        _tracks(list(group), band)
        for group, band in zip(zip(*fits, strict=True), bands, strict=True)
    ]
    placed = dict(zip(chain(*groups), chain(*found), strict=True))
    return [placed[index] for index in range(len(regions))]


def _by_size(regions: Sequence[Region]) -> list[list[int]]:
    """Group regions, by number, of equal size; few enough that a processor's cache holds them."""
    groups: dict[tuple[int, int], list[int]] = {}
    for index, region in enumerate(regions):
        groups.setdefault((region.width, region.height), []).append(index)
    return [
        group[start : start + most]
        for (width, height), group in groups.items()
        for most in [max(TOGETHER // (width * height), 1)]
        for start in range(0, len(group), most)
    ]


def _reference(opening: Sequence[Array], regions: Sequence[Region]) -> _References:
    """Return the mean of the first frames, each aligned to the first."""
    first = _References(_pictures(opening[0], regions, np.zeros((len(regions), 2))), regions, 1)
    total: Array = np.zeros(1)
    last: Array = np.zeros((len(regions), 2))
    for frame in opening:
        fit = _follow(first, frame, last)
        last = fit.displacement
        first.searched &= fit.correlation >= LOST
        total = total + _pictures(frame, regions, last)
    mean = _References(total / len(opening), regions, len(opening))
    mean.searched = first.searched
    return mean


def _pictures(frame: Array, regions: Sequence[Region], d: Array) -> Array:
    """Return each region at x + d (R, 2) with its margin; the frame's borders are mirrored."""
    parts, wide, whole = [], 2 * MARGIN, np.rint(d).astype(int)
    for region, (x, y) in zip(regions, whole, strict=True):
        rows = region.top + y + np.arange(-wide, region.height + wide)
        columns = region.left + x + np.arange(-wide, region.width + wide)
        part = frame[_mirrored(rows, frame.shape[0])[:, None], _mirrored(columns, frame.shape[1])]
        parts.append(part)
    across, _ = _weights(whole[:, 0] - d[:, 0], regions[0].width + wide)
    down, _ = _weights(whole[:, 1] - d[:, 1], regions[0].height + wide)
    pictures: Array = down @ _coefficients(np.array(parts)) @ across.transpose(0, 2, 1)
    return pictures


def _mirrored(places: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    period = max(2 * (size - 1), 1)
    folded: NDArray[np.int64] = np.abs((places + size - 1) % period - (size - 1))
    return folded


def _fits(frames: Iterable[Array], references: Sequence[_References]) -> Iterator[list[_Fit]]:
    """Yield the fits of every group of regions, frame by frame."""
    last: list[Array] = [np.zeros((len(group.rows), 2)) for group in references]
    for frame in frames:
        fits = [_follow(group, frame, d) for group, d in zip(references, last, strict=True)]
        # What is lost is searched for where it was seen last.
        last = [
            np.where(fit.correlation[:, None] < LOST, d, fit.displacement)
            for fit, d in zip(fits, last, strict=True)
        ]
        yield fits


def _follow(group: _References, frame: Array, last: Array) -> _Fit:
    """Fit a frame from the displacements of the one before; search what is lost."""
    fit = group.fit(frame, last, np.arange(len(last)))
    lost = np.flatnonzero((fit.correlation < LOST) & group.searched)
    if not len(lost):
        return fit
    start = fit.displacement.copy()
    start[lost] = _search(group, frame, last, lost)
    again = group.fit(frame, start, lost)
    better = lost[again.correlation[lost] > fit.correlation[lost]]
    fit.put(better, again.take(better))
    return fit


def _search(group: _References, frame: Array, last: Array, lost: Places) -> Array:
    """Return the whole displacements of lost regions, within `REACH` pixels, that fit best."""
    value = group.sample(np.zeros((len(lost), 2)), lost)[:, 0]
    found = np.zeros((len(lost), 2))
    for number, index in enumerate(lost):
        centre = np.rint(last[index]).astype(int)
        rows = group.rows[index][0] + centre[1] + np.arange(-REACH, value.shape[1] + REACH)
        columns = group.columns[index][0] + centre[0] + np.arange(-REACH, value.shape[2] + REACH)
        wide = frame[rows.clip(0, frame.shape[0] - 1)[:, None], columns.clip(0, frame.shape[1] - 1)]
        y, x = np.unravel_index(_correlations(wide, value[number]).argmax(), (2 * REACH + 1,) * 2)
        found[number] = centre + np.array([x - REACH, y - REACH])
    return found


def _correlations(wide: Array, patch: Array) -> Array:
    """Return the correlation coefficients of a patch at every place within a larger one."""
    patch = patch - patch.mean()
    ones = np.ones_like(patch)
    cross = scipy.signal.fftconvolve(wide, patch[::-1, ::-1], "valid")
    total = scipy.signal.fftconvolve(wide, ones, "valid")
    square = scipy.signal.fftconvolve(wide**2, ones, "valid")
    spread = (square - total**2 / patch.size).clip(1e-12)
    correlations: Array = cross / np.sqrt(spread * (patch**2).sum() + 1e-24)
    return correlations


def _tracks(fits: Sequence[_Fit], regions: Sequence[Region]) -> list[Track]:
    """Return the tracks of a group of regions from the fits of every frame."""
    moves, alike, contrast = (
        np.array([getattr(fit, name) for fit in fits])
        for name in ("displacement", "correlation", "contrast")
    )
    variance = np.median([fit.variance for fit in fits], 0)
    information = np.median([fit.information for fit in fits], 0)
    tracks = []
    for index, region in enumerate(regions):
        covariance = variance[index] * np.linalg.pinv(information[index])
        deviation = np.sqrt(np.diag(covariance).clip(0))
        move = _bridged(moves[:, index], alike[:, index] >= LOST)
        tracks.append(Track(region, move, deviation, alike[:, index], contrast[:, index]))
    return tracks


def _bridged(moves: Array, known: NDArray[np.bool_]) -> Array:
    """Interpolate displacements (T, 2) in time where they aren't known."""
    if known.all() or not known.any():
        return moves if known.any() else np.zeros_like(moves)
    number = np.arange(len(moves))
    return np.stack([np.interp(number, number[known], axis[known]) for axis in moves.T], 1)
