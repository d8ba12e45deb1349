"""How much a picture resembles a real one: shown beside agreement, never optimised."""

from __future__ import annotations

import torch
from torch import Tensor

from magkit.evaluate.ssim import ssim_map


def ssim(a_3HW: Tensor, b_3HW: Tensor, mask_HW: Tensor | None = None) -> float:
    """Return structural similarity, mean over the masked pixels; at most 1, NaN without any.

    Args:
        a_3HW: RGB in [0, 1], H and W at least 6.
        b_3HW: likewise.
        mask_HW: bool; None: the whole picture. The 11 x 11 windows of its pixels look past it.
    """
    similarity_HW = ssim_map(a_3HW[None], b_3HW[None])[0, 0]
    chosen = similarity_HW if mask_HW is None else similarity_HW[mask_HW]
    return chosen.mean().item()


def histogram_distance(
    a_3HW: Tensor, b_3HW: Tensor, mask_HW: Tensor | None = None, bins: int = 8
) -> float:
    """Return 1 - the intersection of two pictures' colour histograms, in [0, 1].

    0: both have the same colours, wherever they lie; 1: they share none. Colours are counted
    jointly, in bins^3 cells of the RGB cube, and those of neighbouring cells have nothing in
    common. Source: Swain & Ballard, "Color indexing", IJCV 1991, section 3.

    Args:
        a_3HW: RGB in [0, 1].
        b_3HW: likewise, of the same size.
        mask_HW: bool: the pixels that count, of both pictures; none gives NaN. None: all.
        bins: for each channel, of equal width.
    """
    cells_2HW = _cells(torch.stack([a_3HW, b_3HW]), bins)
    cells_2P = cells_2HW.flatten(1) if mask_HW is None else cells_2HW[:, mask_HW]
    if not cells_2P.numel():
        return float("nan")
    a, b = (cells.bincount(minlength=bins**3) for cells in cells_2P)
    return 1 - torch.minimum(a, b).sum().item() / cells_2P.shape[1]


def _cells(pictures_N3HW: Tensor, bins: int) -> Tensor:
    """The number in [0, bins^3) of each pixel's cell, (N, H, W)."""
    r, g, b = (pictures_N3HW * bins).long().clamp(0, bins - 1).unbind(1)
    return (r * bins + g) * bins + b
