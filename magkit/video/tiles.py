"""Pictures tiled to a grid or in a line with white gaps, and saved as PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from magkit.runtime.files import atomic_path

GAP = 2  # white pixels


def image_grid(pictures: Sequence[Tensor], columns: int = 0, gap: int = GAP) -> Tensor:
    """Tile pictures (3, H, W) of one size, with a white margin around each: (3, H', W').

    Args:
        pictures: row by row; white ones fill the last row.
        columns: pictures in a row; 0: about as many as there are rows.
        gap: width of the margin in pixels.
    """
    columns = columns or math.ceil(math.sqrt(len(pictures)))
    tiles = [F.pad(picture, (gap,) * 4, value=1.0) for picture in pictures]
    tiles += [torch.ones_like(tiles[0])] * (-len(tiles) % columns)
    rows = [torch.cat(tiles[n : n + columns], 2) for n in range(0, len(tiles), columns)]
    return torch.cat(rows, 1)


def join_pictures(pictures: Sequence[Tensor], dim: int, gap: int = GAP) -> Tensor:
    """Concatenate pictures (..., H, W) along a dimension, with white pixels between them."""
    shape = list(pictures[0].shape)
    shape[dim] = gap
    white = pictures[0].new_ones(shape)
    return torch.cat([part for picture in pictures for part in (white, picture)][1:], dim)


def to_image(picture_3HW: Tensor) -> Image.Image:
    """Convert RGB in [0, 1] to 8 bit; values beyond the range are clipped."""
    pixels = (picture_3HW.detach().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
    return Image.fromarray(pixels.contiguous().numpy())


def save_png(path: Path, picture_3HW: Tensor) -> None:
    """Write RGB in [0, 1] as a PNG file, in place of one that is there."""
    with atomic_path(path, overwrite=True) as temporary:
        to_image(picture_3HW).save(temporary)
