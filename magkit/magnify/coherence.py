"""Coherent displacement fields: confidence, filling, and limits of what is shown."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from magkit.magnify.lucas_kanade import CELL, residual_after, solve, squared_change
from magkit.magnify.matching import NOISE, Compensation, around

LEVELS = 6  # of the pyramid of cells: the coarsest cell is 256 pixels wide
DETAIL = 0.3  # pixels: standard deviation of the details that each level may add
DOUBTFUL = 1.5  # pixels: displacements from this on must explain the change
ROUNDING = 2e-4  # mean square of the equations' residual that rounding to 8 bit leaves
SUPPORT = 5  # cells: side of the window in which displacements are told from noise
DETECTED = 0.02  # signal over noise of a displacement of which half is kept
STRAIN = 1.0  # change of displacement over distance that cells without certainty may have
FOLD = 1.5  # likewise of what is shown, for small displacements
LARGE_FOLD = 0.4  # likewise, for large ones: no layer hides a torn flame or fills a wide gap
LARGE = 12.0  # pixels: displacements halfway from small to large
NEARBY = 9  # cells: window of the greatest displacement around a cell
DEFAULT_LIMIT = 0.08  # of the shorter side: how far anything is shown to move
MIN_LIMIT = 16.0  # pixels: likewise at least, in small pictures


def explained(found: Compensation) -> torch.Tensor:
    """Return how well a displacement explains the change between two frames.

    Returns:
        (N, 1, H/4, W/4) in [0, 1]: 1 where at most half of the change, or of the texture, is left
        (or noise alone), 0 where more than three quarters are.
    """
    allowed = 0.5 * found.change.minimum(found.texture) + NOISE
    share: torch.Tensor = (3 - 2 * found.left / allowed).clamp(0, 1)
    return share


def confidence(found: Compensation, field: torch.Tensor) -> torch.Tensor:
    """Return `explained` of a displacement, but 1 for displacements far below `DOUBTFUL`.

    Least squares find these, and noise would outweigh the change that they make.
    """
    large = (field.square().sum(1, keepdim=True) / DOUBTFUL**2).square()
    doubt = 1 - explained(found)
    certainty: torch.Tensor = 1 - doubt * large / (1 + large)
    return certainty


def fill(
    field: torch.Tensor,
    certainty: torch.Tensor,
    equations: torch.Tensor,
    noise: torch.Tensor,
    strain: float = STRAIN,
) -> torch.Tensor:
    """Make a displacement field coherent, from coarse cells to fine ones.

    Each level of a pyramid of cells adds the detail that its equations support: ridge regression,
    whose prior is that details are `DETAIL` pixels long. So flat cells, and noisy ones, move as
    the cells around them, lines keep the motion across them, and nothing else changes. Details
    steeper than `strain` are left out, unless fully certain: jumps between layers stay sharp.

    Args:
        field: displacement in pixels, (N, 2, h, w).
        certainty: weight of each cell in [0, 1], (N, 1, h, w).
        equations: xx, xy and yy of each cell, see `lucas_kanade.NormalEquations`, (N, 3, h, w).
        noise: mean square of the equations' residual due to noise, (N, 1, 1, 1), above 0.
        strain: greatest change of displacement over distance of cells without certainty.
    """
    energy = around(equations, 3) * certainty
    levels = [(energy, _times(energy, field), certainty)]
    for _ in range(LEVELS):
        energy, product, weight = (_halve(maps) for maps in levels[-1])
        # Sums, not means: a cell of twice the side has four times as much evidence.
        levels.append((4 * energy, 4 * product, weight))
    damping = noise / DETAIL**2
    coarse = solve(torch.cat(levels[-1][:2], 1), damping)
    for level, (energy, product, weight) in list(enumerate(levels))[-2::-1]:
        coarse = _double(coarse, weight.shape[-2:])
        rest = torch.cat([energy, product - _times(energy, coarse)], 1)
        detail = solve(rest, damping)
        limit = strain * CELL * 2**level / (1.02 - weight.clamp(0, 1))
        coarse = coarse + detail * _gate(detail, limit)
    return coarse


def _times(energy: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
    """Return the products of the symmetric matrices (xx, xy, yy) and the vectors of each cell."""
    xx, xy, yy = energy.chunk(3, 1)
    x, y = field.chunk(2, 1)
    return torch.cat([xx * x + xy * y, xy * x + yy * y], 1)


def without_noise(field: torch.Tensor, equations: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
    """Remove displacements that can't be told from noise.

    The signal is the mean square change of brightness that the displacements around a cell make,
    the noise what they leave of the change. What coding or noise moves is two or three powers of
    ten below what really moves, so that a wide range of thresholds does the same.

    Args:
        field: displacement in pixels, (N, 2, h, w).
        equations: (N, 5, h, w), see `lucas_kanade.NormalEquations`.
        rest: mean square of their right-hand side, (N, 1, h, w).
    """
    change = around(squared_change(equations, field), SUPPORT)
    noise = around(residual_after(equations, rest, field), SUPPORT).clamp(min=ROUNDING)
    ratio = (change / (DETECTED * noise)).square()
    return field * (ratio / (1 + ratio))


def default_limit(height: int, width: int) -> float:
    """Return how far anything in a frame is shown to move where nobody says, in pixels."""
    return max(DEFAULT_LIMIT * min(height, width), MIN_LIMIT)


def limited(motion: torch.Tensor, factor: float, limit: float) -> torch.Tensor:
    """Limit a displacement so that what is added to it can be shown without tearing the picture.

    Args:
        motion: (N, 2, h, w) in pixels.
        factor: how many times as large it will be shown.
        limit: pixels, see `soft_limit`; 0: none.
    """
    if factor <= 1:
        return motion
    shift = motion * (factor - 1)
    shift = soft_limit(shift, limit) if limit else shift
    return without_folds(shift) / (factor - 1)


def without_folds(shift: torch.Tensor) -> torch.Tensor:
    """Remove details of a shown displacement (N, 2, h, w), in pixels, that are too steep.

    Jumps of some pixels between layers stay sharp; where more is shown, pictures bend instead.
    """
    length = _length(shift)
    for side in ((NEARBY, 1), (1, NEARBY)):
        length = F.max_pool2d(length, side, 1, (side[0] // 2, side[1] // 2))
    strain = LARGE_FOLD + (FOLD - LARGE_FOLD) / (1 + (length / LARGE) ** 4)
    levels = [(shift, strain)]
    for _ in range(LEVELS):
        shift, strain = (_halve(maps) for maps in levels[-1])
        levels.append((shift, strain))
    coarse = levels[-1][0]
    for level, (shift, strain) in list(enumerate(levels))[-2::-1]:
        coarse = _double(coarse, shift.shape[-2:])
        detail = shift - coarse
        coarse = coarse + detail * _gate(detail, strain * CELL * 2**level)
    return coarse


def soft_limit(shift: torch.Tensor, limit: float) -> torch.Tensor:
    """Limit the length of displacements (N, 2, h, w): unchanged to half of `limit`, then less."""
    ratio = _length(shift) / limit
    softened = torch.where(ratio < 0.5, ratio, 0.5 + 0.5 * torch.tanh(2 * ratio - 1))
    shorter: torch.Tensor = shift * (softened / ratio.clamp(min=1e-6))
    return shorter


def _length(field: torch.Tensor) -> torch.Tensor:
    """Return the length of each vector, (N, 1, h, w); `Tensor.norm` takes ten times as long."""
    return field.square().sum(1, keepdim=True).sqrt()


def _gate(detail: torch.Tensor, limit: torch.Tensor | float) -> torch.Tensor:
    """Return 1 for details far below the limit, 0 for those far above."""
    gate: torch.Tensor = 1 / (1 + (detail.square().sum(1, keepdim=True) / limit**2).square())
    return gate


def _halve(maps: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(maps, 2, ceil_mode=True, count_include_pad=False)


def _double(maps: torch.Tensor, size: torch.Size) -> torch.Tensor:
    large = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
    return large[..., : size[0], : size[1]]
