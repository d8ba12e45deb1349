"""The frame before, moved as the masks moved: where a frame that follows starts from.

An object is displaced, and stretched along both axes, as its mask is: from the centre and spread
of the one mask to those of the other (its moments of first and second order). What is no object
stays where it is. Where an object was and no longer is, nothing is known: what is around is spread
into the gap.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from magkit.invert.affine import resample
from magkit.invert.objective import TemporalPrior

MOST = 1.5  # times by which an object is stretched at most from one frame to the next
EDGE = 2  # pixels beside an object's edge that count as neither it nor what is around


def warped(pixels_3HW: Tensor, before_KHW: Tensor, now_KHW: Tensor) -> TemporalPrior:
    """Return a frame moved from some masks to others, and where its pixels are known.

    Args:
        pixels_3HW: the frame, in any space.
        before_KHW: bool, the masks of its objects.
        now_KHW: bool, the same objects' masks in the frame to start.
    """
    was, free = before_KHW.any(0), ~before_KHW.any(0)
    around = filled(pixels_3HW, ~grown(was, EDGE))
    result, known = around, free & ~grown(was, EDGE)
    for before, now in zip(before_KHW, now_KHW, strict=True):
        if not before.any() or not now.any():
            known = known & ~now
            continue
        maps = motion(now, before)[None]
        inside = filled(pixels_3HW, before)
        size = (now.shape[0], now.shape[1])
        moved = resample(inside[None], maps, size, padding="border")[0]
        there = resample(before[None, None].to(pixels_3HW), maps, size, padding="zeros")[0, 0]
        result = torch.where(now, moved, result)
        known = torch.where(now, there >= 0.5, known)
    return TemporalPrior(result[None], known.to(pixels_3HW)[None, None])


def motion(source_HW: Tensor, to_HW: Tensor) -> Tensor:
    """Return the map (2, 3) of pixels that takes a mask's centre and spreads to another's."""
    (x, y, wide, high), (to_x, to_y, to_wide, to_high) = _moments(source_HW), _moments(to_HW)
    across, down = (min(max(v, 1 / MOST), MOST) for v in (to_wide / wide, to_high / high))
    return torch.tensor([[across, 0.0, to_x - across * x], [0.0, down, to_y - down * y]])


def _moments(mask_HW: Tensor) -> tuple[float, float, float, float]:
    rows, columns = mask_HW.nonzero().double().unbind(1)
    spreads = [float(v.var(correction=0).sqrt()) for v in (columns, rows)]
    # A pixel's own extent: a single one has a spread too.
    wide, high = ((s**2 + 1 / 12) ** 0.5 for s in spreads)
    return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5, wide, high


def grown(mask_HW: Tensor, pixels: int) -> Tensor:
    """Return a mask with the pixels that are within a square of it."""
    side = 2 * pixels + 1
    return F.max_pool2d(mask_HW[None].float(), side, 1, pixels)[0] > 0


def filled(pixels_CHW: Tensor, known_HW: Tensor) -> Tensor:
    """Return a picture whose unknown pixels are made of the known ones around, by a pyramid.

    As it was where nothing is known at all.
    """
    if known_HW.all() or not known_HW.any():
        return pixels_CHW
    return torch.where(known_HW, pixels_CHW, _pyramid(pixels_CHW, known_HW.to(pixels_CHW)))


def _pyramid(pixels_CHW: Tensor, weight_HW: Tensor) -> Tensor:
    """Average known pixels over ever larger blocks, and take the smallest block that knows any."""
    height, width = weight_HW.shape
    sums, counts = (pixels_CHW * weight_HW)[None], weight_HW[None, None]
    levels = []
    while True:
        levels.append((sums, counts))
        if max(sums.shape[2:]) == 1:
            break
        sums, counts = (F.avg_pool2d(v, 2, 2, ceil_mode=True) for v in (sums, counts))
    found: Tensor | None = None
    for sums, counts in reversed(levels):
        own = sums / torch.where(counts > 0, counts, 1.0)
        if found is None:
            found = own
            continue
        coarser = F.interpolate(found, sums.shape[2:], mode="bilinear", align_corners=False)
        found = torch.where(counts > 0, own, coarser)
    assert found is not None
    return found[0, :, :height, :width]
