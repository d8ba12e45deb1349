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
