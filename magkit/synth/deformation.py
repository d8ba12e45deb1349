"""Smooth displacement fields of layers, their inverse, and texels sampled anywhere.

A point p of a layer, in pixels of frame A from the layer's centre, is displaced by d(p) in frame B,
and stands at p + k d(p) in a frame of scale k: 0 is A, 1 is B, the factor is M. So d(p) at
p = material(fields, x, 1) is the exact motion of what B shows at x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

Pair = tuple[float, float]

STEPS = 4  # of Newton's method: a residual below 1e-4 px up to a strain of two thirds
MAX_STRAIN = 0.5
"""Greatest scale * `strain` at which `material` is exact; at 1 a layer may fold over itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """The displacement amplitude * sin(vector . p + phase)."""

    amplitude: Pair  # (x, y), pixels
    vector: Pair  # (x, y), radians a pixel
    phase: float = 0.0  # radians


@dataclass(frozen=True, slots=True, kw_only=True)
class Deformation:
    """The field d(p) = shift + matrix p + the sum of the waves.

    Rotation by a small angle w is the matrix ((0, -w), (w, 0)), zoom ((z, 0), (0, z)), shear
    ((0, s), (0, 0)). All of them are magnified as displacements, not as angles.
    """

    shift: Pair = (0.0, 0.0)  # (x, y), pixels
    matrix: tuple[Pair, Pair] = ((0.0, 0.0), (0.0, 0.0))
    waves: tuple[Wave, ...] = ()

    @property
    def strain(self) -> float:
        """Return a bound on the norm of d's derivative."""
        (a, b), (c, d) = self.matrix
        # The largest singular value of a 2x2 matrix.
        largest = (math.hypot(a + d, b - c) + math.hypot(a - d, b + c)) / 2
        return largest + sum(math.hypot(*w.amplitude) * math.hypot(*w.vector) for w in self.waves)

    def reach(self, radius: float) -> float:
        """Return a bound on |d(p)| where |p| <= `radius`, pixels."""
        linear = Deformation(matrix=self.matrix).strain * radius
        waves = sum(math.hypot(*wave.amplitude) for wave in self.waves)
        return math.hypot(*self.shift) + linear + waves


def membrane(amplitude: Pair, vector: Pair, phases: Pair = (0.0, 0.0)) -> tuple[Wave, Wave]:
    """Return amplitude * sin(x vector[0] + phases[0]) * sin(y vector[1] + phases[1]) as waves."""
    half = (amplitude[0] / 2, amplitude[1] / 2)
    less = (-half[0], -half[1])
    turn = math.pi / 2  # sin a sin b = (cos(a - b) - cos(a + b)) / 2
    return (
        Wave(amplitude=half, vector=(vector[0], -vector[1]), phase=phases[0] - phases[1] + turn),
        Wave(amplitude=less, vector=vector, phase=phases[0] + phases[1] + turn),
    )


def bending(amplitude: float, length: float, angle: float, phase: float = 0.0) -> Wave:
    """Return a transverse wave: a beam along `angle` that bends across it.

    Args:
        amplitude: pixels.
        length: of the wave, pixels.
        angle: of the beam, radians from the x axis towards y.
        phase: radians.
    """
    along, across = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
    number = 2 * math.pi / length
    return Wave(
        amplitude=(amplitude * across[0], amplitude * across[1]),
        vector=(number * along[0], number * along[1]),
        phase=phase,
    )


@dataclass(frozen=True, slots=True)
class Fields:
    """N deformations as tensors: shift (N, 2), matrix (N, 2, 2), K waves each."""

    shift: torch.Tensor
    matrix: torch.Tensor
    amplitude: torch.Tensor  # (N, K, 2)
    vector: torch.Tensor  # (N, K, 2)
    phase: torch.Tensor  # (N, K)


def make_fields(
    deformations: Sequence[Deformation],
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Fields:
    """Return deformations as tensors; absent waves have an amplitude of nought."""
    most = max(len(d.waves) for d in deformations)
    absent = Wave(amplitude=(0.0, 0.0), vector=(0.0, 0.0))
    waves = [(*d.waves, *[absent] * (most - len(d.waves))) for d in deformations]

    def tensor(values: object, *shape: int) -> torch.Tensor:
        return torch.tensor(values, device=device, dtype=dtype).view(len(deformations), *shape)

    return Fields(
        tensor([d.shift for d in deformations], 2),
        tensor([d.matrix for d in deformations], 2, 2),
        tensor([[w.amplitude for w in row] for row in waves], most, 2),
        tensor([[w.vector for w in row] for row in waves], most, 2),
        tensor([[w.phase for w in row] for row in waves], most),
    )


def displacement(fields: Fields, points: torch.Tensor) -> torch.Tensor:
    """Return d (N, 2, H, W) at points (N, 2, H, W), (x, y) in pixels from the centres."""
    x, y = points.unbind(1)
    dx, dy = _affine(fields, x, y)
    for wave in range(fields.phase.shape[1]):
        ax, ay, vx, vy, phase = _wave(fields, wave)
        sine = (vx * x + vy * y).add_(phase).sin_()
        dx, dy = dx + ax * sine, dy + ay * sine
    return torch.stack([dx, dy], 1)


def material(
    fields: Fields, points: torch.Tensor, scale: torch.Tensor, steps: int = STEPS
) -> torch.Tensor:
    """Return what a frame shows: p (N, 2, H, W) with p + scale d(p) = points.

    Newton's method with the exact Jacobian, a fixed number of steps, so that a field's result
    does not depend on the others.

    Args:
        fields: N fields, `scale * strain` up to `MAX_STRAIN`.
        points: of the frame, (N, 2, H, W), pixels from the centres.
        scale: of the displacements: (N,), or (N, H) where rows differ.
        steps: of Newton's method.
    """
    scale = scale.view(len(scale), -1, 1)
    x, y = points.unbind(1)
    a, b, c, d = (scale * entry for entry in _entries(fields))
    sx, sy = (scale * entry for entry in _columns(fields.shift))
    # Without waves the first solution is exact.
    px, py = _solve(1 + a, b, c, 1 + d, x - sx, y - sy)
    for _ in range(steps if fields.phase.shape[1] else 0):
        rx, ry = px + (a * px + b * py + sx) - x, py + (c * px + d * py + sy) - y
        jxx, jxy, jyx, jyy = (1 + a).expand_as(px), b, c, (1 + d).expand_as(px)
        for wave in range(fields.phase.shape[1]):
            ax, ay, vx, vy, phase = _wave(fields, wave)
            angle = (vx * px + vy * py).add_(phase)
            sine, slope = angle.sin().mul_(scale), angle.cos_().mul_(scale)
            rx, ry = rx + ax * sine, ry + ay * sine
            jxx, jxy = jxx + (ax * vx) * slope, jxy + (ax * vy) * slope
            jyx, jyy = jyx + (ay * vx) * slope, jyy + (ay * vy) * slope
        stepx, stepy = _solve(jxx, jxy, jyx, jyy, rx, ry)
        px, py = px - stepx, py - stepy
    return torch.stack([px, py], 1)


def _affine(fields: Fields, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    a, b, c, d = _entries(fields)
    sx, sy = _columns(fields.shift)
    return a * x + b * y + sx, c * x + d * y + sy


def _solve(
    a: torch.Tensor,
    b: torch.Tensor,
    c: torch.Tensor,
    d: torch.Tensor,
    x: torch.Tensor,
    y: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Solve ((a, b), (c, d)) (u, v) = (x, y)."""
    inverse = 1 / (a * d - b * c)
    return (d * x - b * y) * inverse, (a * y - c * x) * inverse


def _columns(table: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return columns (N, 1, 1) of a table (N, M)."""
    return table[:, :, None, None].unbind(1)


def _entries(fields: Fields) -> tuple[torch.Tensor, ...]:
    return _columns(fields.matrix.flatten(1))


def _wave(fields: Fields, number: int) -> tuple[torch.Tensor, ...]:
    parts = fields.amplitude[:, number], fields.vector[:, number], fields.phase[:, number, None]
    return _columns(torch.cat(parts, 1))


def sample(texels: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Sample texels anywhere, by the cubic B-spline of `magkit.synth.render.displace`.

    Args:
        texels: (N, C, h, w); beyond them the border repeats.
        points: (N, 2, H, W), (x, y) in texels from the centre of the first one.

    Returns:
        Samples (N, C, H, W).
    """
    height, width = texels.shape[-2:]
    (xs, wx), (ys, wy) = (_pairs(points[:, axis]) for axis in (0, 1))
    xs = [(2 * x + 1) / width - 1 for x in xs]
    ys = [(2 * y + 1) / height - 1 for y in ys]
    out: torch.Tensor | None = None
    for y, down in zip(ys, wy, strict=True):
        for x, across in zip(xs, wx, strict=True):
            grid = torch.stack([x, y], -1)
            found = F.grid_sample(texels, grid, "bilinear", "border", align_corners=False)
            found = found.mul_((down * across)[:, None])
            out = found if out is None else out.add_(found)
    assert out is not None
    return out


def _pairs(place: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return where to sample linearly along an axis, and the two weights.

    Four taps of the spline are two linear samples. Source: Sigg, Hadwiger, "Fast third-order
    texture filtering", GPU Gems 2, 2005, section 20.2.
    """
    whole = place.floor()
    t = place - whole
    first, last = (1 - t) ** 3 / 6, t**3 / 6
    second = 2 / 3 - t**2 + t**3 / 2
    third = 1 - first - second - last
    low, high = first + second, third + last
    return [whole - 1 + second / low, whole + 1 + last / high], [low, high]
