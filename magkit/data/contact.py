"""The first scenes of a data set at a glance."""

from __future__ import annotations

import torch
from PIL import Image
from torch.nn import functional as F

from magkit.data.dataset import DataSet
from magkit.data.encode import FRAMES
from magkit.synth.sources import resize

COLUMNS, ROWS = 4, 8
THUMBNAIL = 160  # pixels
GAP = 2  # white pixels around each


def contact_sheet(data: DataSet) -> Image.Image:
    """Return thumbnails: A, B, C and M of eight scenes, a row each; or 32 single frames."""
    count = min(len(data), ROWS if data.kind == "triplets" else ROWS * COLUMNS)
    tiles = [tile for index in range(count) for tile in _tiles(data, index)]
    white = torch.ones_like(tiles[0])
    rows = []
    for start in range(0, len(tiles), COLUMNS):
        row = tiles[start : start + COLUMNS]
        rows.append(torch.cat([*row, *[white] * (COLUMNS - len(row))], 2))
    levels = (torch.cat(rows, 1) * 255).round().byte().permute(1, 2, 0)
    return Image.fromarray(levels.contiguous().numpy())


def _tiles(data: DataSet, index: int) -> list[torch.Tensor]:
    if data.kind == "frames":
        return [_tile(data.frames([index])[0])]
    scene = data.triplets([index])
    return [_tile(getattr(scene, name)[0]) for name in FRAMES]


def _tile(frame: torch.Tensor) -> torch.Tensor:
    return F.pad(resize(frame, THUMBNAIL, THUMBNAIL), (GAP,) * 4, value=1.0)
