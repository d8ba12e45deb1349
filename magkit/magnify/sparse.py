"""Tiles of cells: the parts of feature maps that a network of convolutions has to compute."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import torch
from torch.nn import functional as F

TILE = 8  # cells: side of the tiles; maps have whole tiles


class Tiles:
    """Tiles needed by the successive layers of a network, each of which needs no more.

    Tiles needed longest come first, so that those of each layer are the first ones. A layer's
    maps are stored tile by tile, (K, C, TILE, TILE).

    Args:
        mask: the cells that the last layer computes, zeros and ones (1, 1, h, w).
        reaches: how many cells around them each layer computes, the first layer first.

    Attributes:
        sizes: the number of tiles of each layer.
        share: the mean of these over the number of all tiles.
    """

    def __init__(self, mask: torch.Tensor, reaches: Sequence[int]) -> None:
        _, _, self.height, self.width = mask.shape
        needed = [F.max_pool2d(mask, TILE + 2 * cells, TILE, cells) for cells in reaches]
        layers = torch.cat(needed).sum(0).flatten()
        order = layers.argsort(descending=True, stable=True)
        self.sizes = [int(tiles.count_nonzero()) for tiles in needed]
        self.share = sum(self.sizes) / len(layers) / len(reaches)
        chosen, across = order[: self.sizes[0]], self.width // TILE
        self.rows, self.columns = chosen // across, chosen % across
        self._widest = max(map(operator.sub, reaches, reaches[1:]))
        self._places = self._find(order.argsort())

    def _find(self, slots: torch.Tensor) -> torch.Tensor:
        """Return where the cells of tiles and the widest halos are stored, as rows of cells.

        Args:
            slots: the place of each tile of the map among those stored.

        Returns:
            (K, side, side); for cells beyond the border a number larger than any row.
        """
        span = torch.arange(-self._widest, TILE + self._widest, device=slots.device)
        y = (self.rows[:, None] * TILE + span)[:, :, None]
        x = (self.columns[:, None] * TILE + span)[:, None, :]
        inside = (y >= 0) & (y < self.height) & (x >= 0) & (x < self.width)
        y, x = y.clamp(0, self.height - 1), x.clamp(0, self.width - 1)
        slot = slots[y // TILE * (self.width // TILE) + x // TILE]
        places = slot * TILE**2 + y % TILE * TILE + x % TILE
        return torch.where(inside, places, self.height * self.width)

    def take(self, maps: torch.Tensor, count: int, halo: int = 0, scale: int = 1) -> torch.Tensor:
        """Cut the first tiles out of maps (1, C, h * scale, w * scale).

        Args:
            maps: the maps; beyond the border their outer pixels are repeated.
            count: number of tiles.
            halo: pixels of the maps added to every side of a tile.
            scale: pixels of the maps to a cell.

        Returns:
            (count, C, TILE * scale + 2 halo, TILE * scale + 2 halo).
        """
        side = TILE * scale
        if halo:
            maps = F.pad(maps, (halo,) * 4, mode="replicate")
        windows = maps[0].unfold(1, side + 2 * halo, side).unfold(2, side + 2 * halo, side)
        return windows[:, self.rows[:count], self.columns[:count]].transpose(0, 1)

    def put(self, maps: torch.Tensor, tiles: torch.Tensor, scale: int = 1) -> None:
        """Write the first tiles (K, C, TILE * scale, TILE * scale) into maps; see `take`."""
        side, count = TILE * scale, len(tiles)
        windows = maps[0].unfold(1, side, side).unfold(2, side, side)
        windows[:, self.rows[:count], self.columns[:count]] = tiles.transpose(0, 1)

    def surround(self, stored: torch.Tensor, count: int, halo: int) -> torch.Tensor:
        """Add a halo of cells to the first tiles, zeros beyond the border.

        Args:
            stored: tiles of a layer (K, C, TILE, TILE), channels last.
            count: number of tiles.
            halo: cells added to every side, at most the reach that the layers lose.

        Returns:
            (count, C, TILE + 2 halo, TILE + 2 halo), channels last. Cells that were not stored hold
            anything.
        """
        channels, side, cut = stored.shape[1], TILE + 2 * halo, self._widest - halo
        flat = stored.permute(0, 2, 3, 1).reshape(-1, channels)
        flat = torch.cat([flat, flat.new_zeros(1, channels)])
        places = self._places[:count, cut : cut + side, cut : cut + side]
        picked = flat.index_select(0, places.clamp(max=len(flat) - 1).flatten())
        return picked.view(count, side, side, channels).permute(0, 3, 1, 2)

    def warp(
        self, image: torch.Tensor, field: torch.Tensor, mode: str = "bilinear"
    ) -> torch.Tensor:
        """Sample an image at x - field(x), for x in the first tiles; see `backward_warp`.

        Args:
            image: (1, C, h * scale, w * scale).
            field: in pixels of the image, (K, 2, TILE * scale, TILE * scale).
            mode: of `grid_sample`.

        Returns:
            (K, C, TILE * scale, TILE * scale).
        """
        count, side = len(field), field.shape[-1]
        inner = torch.arange(side, device=field.device)
        x = (self.columns[:count, None, None] * side + inner).to(field.dtype)
        y = (self.rows[:count, None, None] * side + inner[:, None]).to(field.dtype)
        across, down = (2 / max(length - 1, 1) for length in (image.shape[3], image.shape[2]))
        x = torch.sub(x * across - 1, field[:, 0], alpha=across)
        y = torch.sub(y * down - 1, field[:, 1], alpha=down)
        image, grid = image.expand(count, -1, -1, -1), torch.stack([x, y], 3)
        return F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=True)
