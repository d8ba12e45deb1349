"""The camera's motion between two frames, found by robust least squares on a pyramid.

The picture is displaced, turned and scaled as a whole: four parameters. They are fitted to the
gradients of squares of pixels (Bergen et al., ECCV 1992) by Gauss-Newton iterations, each square
weighted by how well it agrees with the others (Geman-McClure), so that objects that move by
themselves don't count. Shear and perspective are left out: on real clips with little texture they
fit noise and objects rather than the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from magkit.magnify.classical import luma, reduce
from magkit.magnify.lucas_kanade import DERIVE, SMOOTH
from magkit.magnify.spline import Spline

Array = NDArray[np.floating[Any]]

FINEST = 480  # pixels: the longer side of the finest level at most
COARSEST = 32  # pixels: the shorter side of any level at least
CELL = 8  # pixels of a level: side of the squares
ITERATIONS = 12  # at each level, at most
CONVERGED = 0.02, 1e-3  # pixels of a level, of the finest: the last step's length
LONGEST = 2.0  # pixels of a level: a step at most
REWEIGHTED = 4  # times the squares are weighted in each iteration
TOLERANCE = 3.0  # standard deviations of disagreement at which a square's weight is a quarter
LEAST_SCALE = 1e-3  # pixels: standard deviation of a square's displacement at least
LOST = 0.3  # correlation of most squares below which no common motion is found
DOUBTFUL = 0.7  # likewise, below which another motion is tried
SIGNIFICANT = 5.0  # standard deviations: less motion is none
CLUSTERS = 6  # of a side: parts of the frame whose squares may err alike
ROUNDING = (1 / 255) ** 2 / 12  # variance of the noise that rounding to 8 bits makes
NOISE_GRADIENT = float(np.square(DERIVE).sum() * np.square(SMOOTH).sum()) / 2
"""Mean square of the gradient of the mean of two frames, over the variance of their white noise."""
PRIOR = (1e3, 1e3, 30.0, 30.0)
"""Standard deviations in pixels that parameters have where nothing is known of them."""

STILL: Array = np.zeros(len(PRIOR))


def displacement(parameters: Array, places: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return how far the camera's motion displaces places of the reference.

    Args:
        parameters: (4,): right, down, growth and clockwise turn, in pixels, the last two at half
            the frame's diagonal from its centre.
        places: (2, ...), x and y in pixels of the reference.
        height: of the frame, pixels.
        width: likewise.

    Returns:
        (2, ...), pixels.
    """
    unit = math.hypot(height, width) / 2
    x, y = places[0] - (width - 1) / 2, places[1] - (height - 1) / 2
    right, down, *turned = (float(value) for value in parameters)
    growth, turn = turned[0] / unit, turned[1] / unit
    return torch.stack([right + growth * x - turn * y, down + turn * x + growth * y])


def inverse(parameters: Array, height: int, width: int) -> Array:
    """Return the parameters of the displacement from a frame back to the reference."""
    unit = math.hypot(height, width) / 2
    # Places are complex numbers: z becomes factor z + shift.
    shift = complex(*parameters[:2])
    factor = 1 + complex(*parameters[2:]) / unit
    back, turned = -shift / factor, (1 / factor - 1) * unit
    return np.array([back.real, back.imag, turned.real, turned.imag])


def _basis(x: Array, y: Array) -> Array:
    """Return the displacements (n, 2, 4) at places (n,) of parameters of 1, see `displacement`."""
    none, one = np.zeros_like(x), np.ones_like(x)
    return np.stack([np.stack([one, none, x, -y], -1), np.stack([none, one, y, x], -1)], 1)


@dataclass(frozen=True, slots=True)
class Found:
    """The camera's motion from the reference to a frame.

    Attributes:
        parameters: see `displacement`.
        deviation: root mean square over the frame of the displacement's standard deviation, pixels.
        correlation: of most of the texture with the displaced reference: a weighted median.
    """

    parameters: Array
    deviation: float
    correlation: float

    @property
    def lost(self) -> bool:
        """Whether the frame has no motion in common with the reference."""
        return self.correlation < LOST

    @property
    def certain(self) -> bool:
        """Whether the frame certainly shows what the reference shows."""
        return self.correlation >= DOUBTFUL


@dataclass(frozen=True, slots=True)
class _Level:
    """A level of the reference's pyramid: every 2^number-th pixel of the frame, smoothed."""

    number: int
    picture: torch.Tensor  # (1, 1, h, w)
    places: torch.Tensor  # of its pixels in the frame, (2, h, w)
    basis: Array  # of its squares, (n, 2, 4)
    noise: float  # its variance
    clusters: Array  # which of the parts of the frame each square is in, (CLUSTERS^2, n)


class Reference:
    """A frame that the camera's motion is measured from.

    Args:
        frame: (1, 3, H, W) in [0, 1].
    """

    def __init__(self, frame: torch.Tensor) -> None:
        self.height, self.width = frame.shape[-2:]
        pictures = _pyramid(frame)
        self.levels = [
            self._level(number, picture)
            for number, picture in enumerate(pictures)
            if max(picture.shape) <= FINEST or number == len(pictures) - 1
        ]
        self.spread = self._spread()

    def _level(self, number: int, picture: torch.Tensor) -> _Level:
        rows, columns = (torch.arange(side, device=picture.device) for side in picture.shape[-2:])
        grid = torch.meshgrid(rows, columns, indexing="ij")
        places = torch.stack([grid[1], grid[0]]).to(picture.dtype) * 2**number
        centres = F.avg_pool2d(places[None], CELL)[0].flatten(1).cpu().double().numpy()
        unit = math.hypot(self.height, self.width) / 2
        middle = np.array([[self.width - 1], [self.height - 1]]) / 2
        x, y = (centres - middle) / unit
        parts = np.array([self.width, self.height]) / CLUSTERS
        column, row = (centres / parts[:, None]).astype(int).clip(0, CLUSTERS - 1)
        clusters = np.eye(CLUSTERS**2)[row * CLUSTERS + column].T
        return _Level(number, picture, places, _basis(x, y), _noise(picture), clusters)

    def _spread(self) -> Array:
        """Return the mean over the frame of the products of the basis, (4, 4)."""
        if not self.levels:
            return np.zeros((len(PRIOR), len(PRIOR)))
        each = self.levels[0].basis
        mean: Array = np.einsum("nik,nil->kl", each, each) / len(each)
        return mean

    def measure(self, frame: torch.Tensor, start: Array = STILL) -> Found:
        """Return the camera's motion to a frame (1, 3, H, W), sought around `start`."""
        parameters, covariance, alike = start.copy(), np.zeros_like(self.spread), 1.0
        pictures = _pyramid(frame)
        for level in reversed(self.levels):
            spline = Spline(pictures[level.number])
            for _ in range(ITERATIONS):
                squares = _squares(level, spline, parameters, self.height, self.width)
                alike = _median(squares.correlation, squares.texture)
                step, covariance = _solved(squares, level, parameters)
                length = self.length(step) / 2**level.number
                parameters = parameters + step * min(1.0, LONGEST / max(length, 1e-9))
                if length < CONVERGED[level is self.levels[0]]:
                    break
        deviation = math.sqrt(max(float((self.spread * covariance).sum()), 0.0))
        return Found(parameters, deviation, alike)

    def find(self, frame: torch.Tensor, near: Array) -> Found:
        """Return the camera's motion to a frame (1, 3, H, W), wherever it went.

        Motion of less than `SIGNIFICANT` standard deviations is none at all.

        Args:
            frame: likewise.
            near: where it is sought first: the parameters of the frame before. They are also what
                is returned if the frame has no motion in common with the reference.
        """
        if not self.levels:
            return Found(near, 0.0, 0.0)
        found = self.measure(frame, near)
        if not found.certain:
            others = found, self.measure(frame, self._search(frame))
            found = max(others, key=lambda each: each.correlation)
        if found.lost:
            return replace(found, parameters=near)
        doubt = SIGNIFICANT * found.deviation / max(self.length(found.parameters), 1e-9)
        # Less motion counts less (positive-part shrinkage, Efron & Morris 1973): nothing jumps.
        return replace(found, parameters=max(0.0, 1 - doubt**2) * found.parameters)

    def _search(self, frame: torch.Tensor) -> Array:
        """Return the translation at which the coarsest level correlates most, by phases."""
        level = self.levels[-1]
        pictures = level.picture, _pyramid(frame)[level.number]
        window = np.hanning(pictures[0].shape[-2])[:, None] * np.hanning(pictures[0].shape[-1])
        each = (picture[0, 0].cpu().double().numpy() for picture in pictures)
        before, after = (np.fft.rfft2(window * (picture - picture.mean())) for picture in each)
        cross = before.conj() * after
        size = window.shape
        alike = np.fft.irfft2(cross / (np.abs(cross) + np.abs(cross).mean() + 1e-12), size)
        place = np.unravel_index(alike.argmax(), size)
        y, x = ((p + s // 2) % s - s // 2 for p, s in zip(place, size, strict=True))
        found = STILL.copy()
        found[:2] = np.array([x, y]) * 2**level.number
        return found

    def length(self, parameters: Array) -> float:
        """Return the root mean square over the frame of a displacement, pixels."""
        return math.sqrt(max(float(parameters @ self.spread @ parameters), 0.0))


def _pyramid(frame: torch.Tensor) -> list[torch.Tensor]:
    """Return brightness (1, 1, h, w), each level half the one before; none of a tiny frame."""
    levels, picture = [], luma(frame)
    while min(picture.shape[-2:]) >= COARSEST:
        levels.append(picture)
        picture = reduce(picture)
    return levels


def _noise(picture: torch.Tensor) -> float:
    """Return the variance of a noise where a picture has little detail (Immerkaer, CVIU 1996)."""
    twice = picture.new_tensor([1.0, -2.0, 1.0])
    detail = F.conv2d(picture, (twice[:, None] * twice)[None, None]).square() / 36
    powers = F.avg_pool2d(detail, CELL).flatten()
    return max(float(powers.quantile(0.25)), ROUNDING)


@dataclass(frozen=True, slots=True)
class _Squares:
    """The normal equations of squares in units of the frame's pixels."""

    matrix: Array  # (n, 2, 2), over `texture`
    right: Array  # (n, 2), likewise
    texture: Array  # (n,): the trace of `matrix`, in [0, 1]
    correlation: Array  # of the frame with the reference, (n,)


def _squares(level: _Level, spline: Spline, parameters: Array, height: int, width: int) -> _Squares:
    """Return equations of the displacement that is left after a motion."""
    size = level.picture.shape[-2:]
    moved = level.places + displacement(parameters, level.places, height, width)
    places = moved / 2**level.number
    last = places.new_tensor([size[1] - 1, size[0] - 1]).view(2, 1, 1)
    inside = ((places >= 0) & (places <= last)).all(0)[None, None].to(places.dtype)
    seen = spline.at(places)
    seen = seen * _contrast(level.picture, seen, inside)
    mean = (level.picture + seen) / (2 * 2**level.number)
    x, y = _filtered(mean, SMOOTH, DERIVE), _filtered(mean, DERIVE, SMOOTH)
    rest, both = (_filtered(each, SMOOTH, SMOOTH) for each in (level.picture - seen, mean))
    maps = torch.cat([x, y, rest, both, inside], 1)
    products = [x * x, x * y, y * y, x * rest, y * rest, rest * rest, both * both]
    pooled = F.avg_pool2d(torch.cat([maps, *products], 1), CELL)[0].flatten(1)
    return _normalised(pooled.cpu().double().numpy(), level.noise, 4.0**-level.number)


def _normalised(pooled: Array, noise: float, unit: float) -> _Squares:
    """Return the equations of squares; those with much texture have the same weight.

    Args:
        pooled: means over each of n squares, (12, n): both gradients, the difference of the frames,
            their mean, the share that is known, and products.
        noise: variance of the noise of a frame.
        unit: the square of a pixel of the frame over one of the level.
    """
    x, y, rest, both, inside = pooled[:5]
    # Covariances: a change of brightness is no motion.
    means = np.array([x * x, x * y, y * y, x * rest, y * rest, rest * rest, both * both])
    xx, xy, yy, xr, yr, rr, bb = (pooled[5:] - means) * (inside > 0.999)
    trace = xx + yy
    known = trace > 0
    # Gradients in x and y have the power of noise each; more than twice it is texture.
    texture = (trace - 4 * NOISE_GRADIENT * noise * unit).clip(0)
    typical = np.quantile(texture[known], 0.75) if known.any() else 0.0
    weight = texture / ((trace + 1e-30) * (texture + typical + 1e-30))
    matrix = np.stack([np.stack([xx, xy], -1), np.stack([xy, yy], -1)], -2)
    right = np.stack([xr, yr], -1)
    # Of the sum and the difference of two pictures of equal power.
    alike = (4 * bb / unit - rr) / (4 * bb / unit + rr + 1e-30)
    weighted = matrix * weight[:, None, None], right * weight[:, None]
    return _Squares(*weighted, trace * weight, alike)


def _contrast(wanted: torch.Tensor, given: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Return the gain that gives a picture the contrast of another, where both are known."""
    total = inside.sum().clamp(min=1)
    spreads = []
    for each in (wanted, given):
        mean = (each * inside).sum() / total
        spreads.append((((each - mean) * inside).square().sum() / total).sqrt() + 1e-3)
    return (spreads[0] / spreads[1]).clamp(0.5, 2)


def _filtered(
    picture: torch.Tensor, down: tuple[float, ...], across: tuple[float, ...]
) -> torch.Tensor:
    padded = F.pad(picture, (2,) * 4, mode="replicate")
    rows, columns = padded.new_tensor(down).view(1, 1, -1, 1), padded.new_tensor(across)
    return F.conv2d(F.conv2d(padded, rows), columns.view(1, 1, 1, -1))


def _solved(squares: _Squares, level: _Level, before: Array) -> tuple[Array, Array]:
    """Return a step of the parameters, and their covariance."""
    share, prior = squares.texture, np.diag(1 / np.array(PRIOR) ** 2)
    design = squares.matrix @ level.basis
    products = np.swapaxes(level.basis, 1, 2) @ design
    rights = np.einsum("nik,ni->nk", level.basis, squares.right)
    step, scale = np.zeros(len(PRIOR)), LEAST_SCALE
    for _ in range(REWEIGHTED):
        left = squares.right - design @ step
        off = np.sqrt((left**2).sum(1)) / np.maximum(share, 1e-9)
        scale = max(1.4826 * _median(off, share), LEAST_SCALE)
        weight = 1 / (1 + (off / (TOLERANCE * scale)) ** 2) ** 2
        normal = np.einsum("n,nkl->kl", weight, products) / scale**2 + prior
        right = weight @ rights / scale**2 - prior @ before
        step = np.linalg.solve(normal, right)
    scores = rights - products @ step
    sums = level.clusters @ (weight[:, None] * scores) / scale**2
    inverse = np.linalg.inv(normal)
    return step, inverse @ (sums.T @ sums) @ inverse


def _median(values: Array, weights: Array) -> float:
    order = values.argsort()
    total = weights[order].cumsum()
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
