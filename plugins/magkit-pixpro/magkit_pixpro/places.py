"""Where the cells of feature maps lie in the source pictures, and which show one place.

Maps are averaged to a grid first: PixPro compares every cell with every other one, which is meant
for maps of 7 x 7 cells. A magnifier's maps have hundreds to thousands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from magkit import MapInfo, View


def grid_means(maps_NChw: Tensor, grid: int) -> Tensor:
    """Return means over a grid of equal rectangles, row by row: (N, L, C).

    At most `grid` rectangles a side, and no more than the map has cells. A cell that lies in two
    counts for both, by its shares.
    """
    height, width = maps_NChw.shape[-2:]
    maps = maps_NChw.to(torch.promote_types(maps_NChw.dtype, torch.float32))
    with torch.autocast(maps.device.type, enabled=False):
        means = _shares(height, grid).to(maps) @ maps @ _shares(width, grid).to(maps).T
    return means.flatten(2).transpose(1, 2)


def _shares(cells: int, grid: int) -> Tensor:
    """Return the share of each cell in the mean of each of at most `grid` equal parts."""
    parts = min(grid, cells)
    edges = torch.arange(parts + 1, dtype=torch.double) * cells / parts
    start = torch.arange(cells, dtype=torch.double)
    low, high = start.maximum(edges[:-1, None]), (start + 1).minimum(edges[1:, None])
    return (high - low).clamp(min=0) * (parts / cells)


@dataclass(frozen=True, slots=True)
class Places:
    """Where the L rectangles of a grid lie, in pixels of the source pictures.

    Attributes:
        middles_NL2: x and y, row by row of the grid.
        diagonals_N: of a rectangle.
    """

    middles_NL2: Tensor
    diagonals_N: Tensor


def places(view: View, size: Sequence[int], grid: int, maps: MapInfo) -> Places:
    """Return where the rectangles of `grid_means` lie.

    Args:
        view: what was encoded.
        size: height and width of its map, in cells.
        grid: as `grid_means` was given.
        maps: where in a view its map's cells look.
    """
    boxes, pixels = view.boxes_N4, view.images_NCHW.shape[-2:]
    sides = (boxes[:, 2:] - boxes[:, :2]).flip(1)  # height and width, as elsewhere
    y, x = (_middles(cells, grid, maps).to(boxes) for cells in size)
    x = torch.where(view.flipped_N[:, None], pixels[1] - x, x)
    y = boxes[:, 1:2] + y * (sides[:, :1] / pixels[0])
    x = boxes[:, :1] + x * (sides[:, 1:] / pixels[1])
    parts = sides.new_tensor([min(grid, cells) for cells in size])
    return Places(_all_pairs(x, y), (sides / parts).norm(dim=1))


def _all_pairs(x_NW: Tensor, y_NH: Tensor) -> Tensor:
    """Return the points (N, H W, 2) of a grid, row by row."""
    width, height = x_NW.shape[1], y_NH.shape[1]
    return torch.stack([x_NW.repeat(1, height), y_NH.repeat_interleave(width, 1)], -1)


def _middles(cells: int, grid: int, maps: MapInfo) -> Tensor:
    """Return the middles of the equal parts of a row of cells, in pixels from the view's edge."""
    parts = min(grid, cells)
    middles = (torch.arange(parts, dtype=torch.double) + 0.5) * cells / parts
    return maps.centre + maps.stride * (middles - 0.5)


def same_place(first: Places, second: Places, threshold: float) -> Tensor:
    """Return which rectangles of the first view (N, L, 1) show the place of which of the second.

    Equation 1: their middles are nearer than `threshold`, in diagonals of the larger rectangle. As
    in the published code, "nearer" excludes the threshold itself.

    Returns:
        True or False, (N, L, M).
    """
    # The fast way by a matrix product takes differences of large squares.
    apart = torch.cdist(
        first.middles_NL2, second.middles_NL2, compute_mode="donot_use_mm_for_euclid_dist"
    )
    larger = torch.maximum(first.diagonals_N, second.diagonals_N)
    return apart < threshold * larger[:, None, None]
