"""Affine resampling of images and masks, and a frame warped by the motion of its masks.

Pixel coordinates have (0, 0) at the outer corner of the first pixel.

A mask's motion is a displacement and a scale along each axis, from its first and second moments.
What belongs to no object stays; what was hidden is inpainted from around.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_STRETCH = 1.5  # times by which an object is stretched at most from one frame to the next
EDGE_MARGIN = 2  # pixels beside an object's edge that count as neither it nor what is around


def resample(
    pictures_NCHW: Tensor,
    source_from_output_N23: Tensor,
    size: tuple[int, int],
    *,
    padding: str = "reflection",
) -> Tensor:
    """Return pictures (N, C, h, w) of a size, bilinear, looked up at an affine map of their pixels.

    Args:
        pictures_NCHW: what is looked up; differentiable.
        source_from_output_N23: the coordinates in the source of (x, y, 1) in the output.
        size: height and width of the output.
        padding: what lies beyond the edge, as `grid_sample` says it.
    """
    height, width = size
    columns = torch.arange(width, dtype=source_from_output_N23.dtype) + 0.5
    rows = torch.arange(height, dtype=source_from_output_N23.dtype) + 0.5
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    places_HW3 = torch.stack([x, y, torch.ones_like(x)], -1).to(source_from_output_N23)
    # No matrix product: autocast would round the coordinates to 8 bits.
    source_NHW2 = (source_from_output_N23[:, None, None] * places_HW3[..., None, :]).sum(-1)
    extent = source_NHW2.new_tensor([pictures_NCHW.shape[3], pictures_NCHW.shape[2]])
    grid = (source_NHW2 * 2 / extent - 1).to(pictures_NCHW)
    return F.grid_sample(pictures_NCHW, grid, "bilinear", padding, align_corners=False)


def scale_map(source: tuple[int, int], output: tuple[int, int], count: int) -> Tensor:
    """Return the maps (count, 2, 3) that fit pictures of one (height, width) into another."""
    down, across = source[0] / output[0], source[1] / output[1]
    return torch.tensor([[across, 0.0, 0.0], [0.0, down, 0.0]]).expand(count, 2, 3)


@dataclass(frozen=True, slots=True)
class TemporalPrior:
    """A warped frame: normalised pixels (N, 3, H, W), and where they are known (0 or 1)."""

    pixels_N3HW: Tensor
    known_N1HW: Tensor


def warp_by_masks(pixels_3HW: Tensor, before_KHW: Tensor, now_KHW: Tensor) -> TemporalPrior:
    """Return a frame moved from some masks to others, and where its pixels are known.

    Args:
        pixels_3HW: the frame, in any space.
        before_KHW: bool, the masks of its objects.
        now_KHW: bool, the same objects' masks in the frame to start.
    """
    was, free = before_KHW.any(0), ~before_KHW.any(0)
    around = inpaint(pixels_3HW, ~dilate(was, EDGE_MARGIN))
    result, known = around, free & ~dilate(was, EDGE_MARGIN)
    for before, now in zip(before_KHW, now_KHW, strict=True):
        if not before.any() or not now.any():
            known = known & ~now
            continue
        maps = mask_motion(now, before)[None]
        inside = inpaint(pixels_3HW, before)
        size = (now.shape[0], now.shape[1])
        moved = resample(inside[None], maps, size, padding="border")[0]
        there = resample(before[None, None].to(pixels_3HW), maps, size, padding="zeros")[0, 0]
        result = torch.where(now, moved, result)
        known = torch.where(now, there >= 0.5, known)
    return TemporalPrior(result[None], known.to(pixels_3HW)[None, None])


def mask_motion(source_HW: Tensor, to_HW: Tensor) -> Tensor:
    """Return the map (2, 3) of pixels that takes a mask's centre and spreads to another's."""
    (x, y, wide, high), (to_x, to_y, to_wide, to_high) = _moments(source_HW), _moments(to_HW)
    across, down = (
        min(max(v, 1 / MAX_STRETCH), MAX_STRETCH) for v in (to_wide / wide, to_high / high)
    )
    return torch.tensor([[across, 0.0, to_x - across * x], [0.0, down, to_y - down * y]])


def _moments(mask_HW: Tensor) -> tuple[float, float, float, float]:
    rows, columns = mask_HW.nonzero().double().unbind(1)
    spreads = [float(v.var(correction=0).sqrt()) for v in (columns, rows)]
    # A pixel's own extent: a single one has a spread too.
    wide, high = ((s**2 + 1 / 12) ** 0.5 for s in spreads)
    return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5, wide, high


def dilate(mask_HW: Tensor, pixels: int) -> Tensor:
    """Return a mask with the pixels that are within a square of it."""
    side = 2 * pixels + 1
    return F.max_pool2d(mask_HW[None].float(), side, 1, pixels)[0] > 0


def inpaint(pixels_CHW: Tensor, known_HW: Tensor) -> Tensor:
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


def mix_priors(prior: TemporalPrior, other: TemporalPrior, weight: float) -> TemporalPrior:
    """Return a prior interpolated towards another by a weight in [0, 1] where both are known."""
    here, there = prior.known_N1HW, other.known_N1HW
    both = torch.where(there > 0, torch.where(here > 0, weight, 1.0), 0.0)
    pixels = torch.lerp(prior.pixels_N3HW, other.pixels_N3HW, both)
    return TemporalPrior(pixels, torch.maximum(here, there))
