"""Coherent displacement fields: confidence, filling, and limits of what is shown."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from magkit.magnify.lucas_kanade import CELL
from magkit.magnify.matching import NOISE, around, residual

LEVELS = 6  # of the pyramid of cells: the coarsest cell is 256 pixels wide
SPARSE = 0.02  # confidence of "no motion", where no cell around is confident
TRUST = 0.1  # confidence at which a level counts half
STRAIN = 1.0  # change of displacement over distance that cells without confidence may have
FOLD = 1.5  # likewise of what is shown
DEFAULT_LIMIT = 0.08  # of the shorter side: how far anything is shown to move


def confidence(reference: torch.Tensor, current: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
    """Return how well a displacement explains the change between two frames.

    Arguments are those of `matching.residual`.

    Returns:
        (N, 1, H/4, W/4) in [0, 1]: 1 where at most half of the change, or of the texture, is left
        (or noise alone), 0 where more than three quarters are.
    """
    left = residual(reference, current, field)
    change = residual(reference, current, torch.zeros_like(field))
    texture = around(F.avg_pool2d(current.square(), CELL // 2), 3)
    allowed = 0.5 * change.minimum(texture) + NOISE
    certainty: torch.Tensor = (3 - 2 * left / allowed).clamp(0, 1)
    return certainty


def fill(field: torch.Tensor, certainty: torch.Tensor, strain: float = STRAIN) -> torch.Tensor:
    """Make a displacement field coherent: cells without confidence take over their neighbours'.

    Normalised convolution (Knutsson & Westin, CVPR 1993) over a pyramid of cells, from coarse to
    fine. A level adds its detail where it is confident, and where its detail is no steeper than
    `strain`, unless fully confident: jumps between layers stay sharp.

    Args:
        field: (N, 2, h, w) in pixels.
        certainty: (N, 1, h, w) in [0, 1].
        strain: greatest change of displacement over distance without confidence.
    """
    sums, weights = [field * certainty], [certainty]
    for _ in range(LEVELS):
        sums.append(_halve(sums[-1]))
        weights.append(_halve(weights[-1]))
    coarse = sums[-1] / (weights[-1] + SPARSE)
    for level in range(LEVELS - 1, -1, -1):
        weight = weights[level]
        coarse = _double(coarse, weight.shape[-2:])
        detail = sums[level] / weight.clamp(min=1e-6) - coarse
        limit = strain * CELL * 2**level / (1.02 - weight.clamp(0, 1))
        coarse = coarse + detail * ((1 + TRUST) * weight / (weight + TRUST)) * _gate(detail, limit)
    return coarse


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


def without_folds(shift: torch.Tensor, strain: float = FOLD) -> torch.Tensor:
    """Remove details of a shown displacement (N, 2, h, w), in pixels, steeper than `strain`."""
    levels = [shift]
    for _ in range(LEVELS):
        levels.append(_halve(levels[-1]))
    coarse = levels[-1]
    for level in range(LEVELS - 1, -1, -1):
        coarse = _double(coarse, levels[level].shape[-2:])
        detail = levels[level] - coarse
        coarse = coarse + detail * _gate(detail, strain * CELL * 2**level)
    return coarse


def soft_limit(shift: torch.Tensor, limit: float) -> torch.Tensor:
    """Limit the length of displacements (N, 2, h, w): unchanged to half of `limit`, then less."""
    ratio = shift.norm(dim=1, keepdim=True) / limit
    softened = torch.where(ratio < 0.5, ratio, 0.5 + 0.5 * torch.tanh(2 * ratio - 1))
    shorter: torch.Tensor = shift * (softened / ratio.clamp(min=1e-6))
    return shorter


def _gate(detail: torch.Tensor, limit: torch.Tensor | float) -> torch.Tensor:
    """Return 1 for details far below the limit, 0 for those far above."""
    gate: torch.Tensor = 1 / (1 + (detail.square().sum(1, keepdim=True) / limit**2).square())
    return gate


def _halve(maps: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(maps, 2, ceil_mode=True, count_include_pad=False)


def _double(maps: torch.Tensor, size: torch.Size) -> torch.Tensor:
    large = F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
    return large[..., : size[0], : size[1]]
