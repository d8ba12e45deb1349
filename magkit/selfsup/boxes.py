"""Random boxes in rectangles, of many sizes and not too much alike.

The law is that of the code of Roh et al., CVPR 2021: a rectangle is divided into a random number of
columns and rows, none narrower than the least size; a random cell is taken, and a random box within
it. A box that overlaps an earlier one of its rectangle too much is drawn anew.

There, each box may be drawn 50 times. Here all boxes of a rectangle draw from one list of
candidates, so that a whole batch is drawn at once: as long as the list isn't used up, which boxes
come out follows the same law. Where no candidate is left that keeps the rule, one that breaks it is
taken, as there after the last try.
"""

from __future__ import annotations

import torch
from torch import Tensor

PARTS = 4  # draws for each side of a box: how many cells, which one, how long, where in it


def candidates(extents_N2: Tensor, draws_NP24: Tensor, least: float, whole: bool) -> Tensor:
    """Draw boxes in rectangles from (0, 0) to `extents`.

    Args:
        extents_N2: widths and heights, none below `least`.
        draws_NP24: uniform in [0, 1), for P boxes in each.
        least: the least side of a box.
        whole: whether boxes start and end at whole numbers.

    Returns:
        Corners (N, P, 2, 2): left and top, then right and bottom.
    """
    cells, place, length, shift = draws_NP24.unbind(-1)
    extents = extents_N2[:, None].round() if whole else extents_N2[:, None]
    most = (extents / least).floor()
    count = _below(cells, most) + 1
    cell = extents / count
    start = _below(place, count) * cell
    if whole:
        start, side = start.floor(), least + _below(length, cell.floor() - least + 1)
        start = start + _below(shift, (cell - side).floor() + 1)
    else:
        side = least + length * (cell - least)
        start = start + shift * (cell - side)
    return torch.stack([start, start + side], 2)


def _below(draws: Tensor, count: Tensor) -> Tensor:
    """Turn draws into whole numbers from 0 to count - 1: rounding may reach `count` itself."""
    return torch.minimum((draws * count).floor(), count - 1)


def distinct(boxes_NP22: Tensor, count: int, most: float) -> Tensor:
    """Take `count` of each list of boxes: each the first whose IoU with those taken is at most
    `most` or, where there is none, the first that is left.

    Returns:
        Boxes (N, count, 2, 2).
    """
    rows = torch.arange(len(boxes_NP22), device=boxes_NP22.device)
    left = boxes_NP22.new_ones(boxes_NP22.shape[:2], dtype=torch.bool)
    apart, taken = left.clone(), []
    for _ in range(count):
        chosen = (left.byte() + (left & apart).byte()).argmax(1)  # the first of the greatest
        taken.append(boxes_NP22[rows, chosen])
        left[rows, chosen] = False
        apart &= iou(boxes_NP22, taken[-1][:, None]) <= most
    return torch.stack(taken, 1)


def iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Return the area that boxes (..., 2, 2) share over the area that they cover."""
    low = torch.maximum(boxes[..., 0, :], others[..., 0, :])
    high = torch.minimum(boxes[..., 1, :], others[..., 1, :])
    shared = (high - low).clamp(min=0).prod(-1)
    areas = [(b[..., 1, :] - b[..., 0, :]).prod(-1) for b in (boxes, others)]
    return shared / (areas[0] + areas[1] - shared)
