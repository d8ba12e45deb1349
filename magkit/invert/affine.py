"""Resampling pictures and masks by an affine map of pixel coordinates, (0, 0) at the corner."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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


def scaling(source: tuple[int, int], output: tuple[int, int], count: int) -> Tensor:
    """Return the maps (count, 2, 3) that fit pictures of one (height, width) into another."""
    down, across = source[0] / output[0], source[1] / output[1]
    return torch.tensor([[across, 0.0, 0.0], [0.0, down, 0.0]]).expand(count, 2, 3)
