"""Pictures side by side, on white."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

GAP = 2  # white pixels around each


def grid(pictures: Sequence[Tensor], columns: int = 0) -> Tensor:
    """Return pictures (3, H, W) of one size in rows, (3, H', W').

    Args:
        pictures: row by row.
        columns: pictures in a row; 0: about as many as there are rows.
    """
    columns = columns or math.ceil(math.sqrt(len(pictures)))
    tiles = [F.pad(each, (GAP,) * 4, value=1.0) for each in pictures]
    tiles += [torch.ones_like(tiles[0])] * (-len(tiles) % columns)
    rows = [torch.cat(tiles[n : n + columns], 2) for n in range(0, len(tiles), columns)]
    return torch.cat(rows, 1)


def joined(pictures: Sequence[Tensor], dim: int) -> Tensor:
    """Return pictures (3, H, W) of any sizes below each other (dim 1) or side by side (dim 2)."""
    high, wide = (max(each.shape[d] for each in pictures) for d in (1, 2))
    padded = []
    for each in pictures:
        right = wide - each.shape[2] if dim == 1 else 0
        below = high - each.shape[1] if dim == 2 else 0
        padded.append(F.pad(each, (0, right, 0, below), value=1.0))
    return torch.cat(padded, dim)
