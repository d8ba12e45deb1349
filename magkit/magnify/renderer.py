"""The renderer of `magnet-fast`: a frame displaced by a field, where anything is to be shown."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from types import EllipsisType

import torch
from torch import nn
from torch.nn import functional as F

from magkit.magnify.fast_encoder import Features, constant_init, conv, join, signed_log
from magkit.magnify.lucas_kanade import (
    CELL,
    backward_warp,
    convex,
    splat,
    upsample,
    upsample_convex,
)
from magkit.magnify.sparse import Tiles

SHIFT_UNIT = 2.0  # cells: unit of magnified displacements in the network's logarithmic inputs
STILL = 0.02  # pixels: displacements below this are not shown
TILE_SPEED = 0.7  # of rendering gathered tiles, over that of as many cells in a rectangle
BLOCKS = (1, 2, 4, 1)  # cells: dilations of the renderer's layers
Box = tuple[EllipsisType, slice, slice]  # index of a rectangle of maps (N, C, h, w)
COLOUR, SHARES = 3 * CELL**2, 36  # channels of new colours, and of neighbours' weights
# New colours and opacity, weights, correction; two unused ones make a multiple of eight channels,
# which takes half the time.
OUTPUTS = [COLOUR + CELL**2, SHARES, 2, 2]


@dataclass(frozen=True, slots=True)
class Flow:
    """A displacement and what it moves to each cell, in cells."""

    cells: torch.Tensor  # (N, 2, h, w)
    arrived: torch.Tensor  # (N, 2, h, w)
    logs: torch.Tensor  # of both, and of the weight of what arrived, (N, 5, h, w)


class Renderer(nn.Module):
    """Renders a frame displaced by a field, from the frame's features."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.order = nn.Sequential(
            nn.Conv2d(width + 2, 16, 1), nn.ReLU(inplace=True), nn.Conv2d(16, 1, 1)
        )
        self.enter = conv(2 * width + 5, hidden)
        self.blocks = nn.ModuleList(conv(hidden, hidden, dilation=d) for d in BLOCKS)
        # New colours start grey and nearly transparent.
        start = [0.5] * COLOUR + [-3.0] * CELL**2 + [0.0] * sum(OUTPUTS[1:])
        self.leave = constant_init(nn.Conv2d(hidden, sum(OUTPUTS), 1), start)

    def forward(self, current: Features, shift: torch.Tensor) -> torch.Tensor:
        """Displace `current.frames` by `shift` pixels (N, 2, H/4, W/4).

        In evaluation mode still cells are copied, to the bit: cells in which, and in whose eight
        neighbours, neither `shift` nor what arrives is `STILL` pixels long.
        """
        flow = self.arrival(current, shift)
        if self.training:
            return self.render_all(current, flow)
        moving = self.moving(flow)
        if not moving.any():
            return current.frames
        box = bounding_box(moving, self.reaches()[0])
        # Gathered tiles take longer than as many cells in one piece.
        if len(moving) == 1 and moving.mean() < TILE_SPEED:
            tiles = Tiles(moving, self.reaches())
            if tiles.share < TILE_SPEED * moving[box].numel() / moving.numel():
                return self.render_tiles(current, flow, moving, tiles)
        return self.render_box(current, flow, moving, box)

    def arrival(self, current: Features, shift: torch.Tensor) -> Flow:
        """Splat the displacement."""
        cells = shift / CELL
        log_shift = signed_log(cells / SHIFT_UNIT)
        nearness = self.order(join([current.texture, log_shift])).clamp(-8, 8).exp()
        splatted = splat(torch.cat([cells * nearness, nearness], 1), cells)
        weight = splatted[:, 2:] + 1e-3
        arrived = splatted[:, :2] / weight
        logs = [signed_log(arrived / SHIFT_UNIT), weight.log() / 8, log_shift]
        return Flow(cells, arrived, torch.cat(logs, 1))

    def moving(self, flow: Flow) -> torch.Tensor:
        """Return 0 for still cells and 1 for others, (N, 1, h, w)."""
        lengths = torch.stack([flow.cells, flow.arrived]).square().sum(2, keepdim=True).amax(0)
        return F.max_pool2d((lengths >= (STILL / CELL) ** 2).float(), 3, 1, 1)

    def render_all(
        self, current: Features, flow: Flow, corner: tuple[int, int] = (0, 0)
    ) -> torch.Tensor:
        """Render every cell of a flow: that of the frame, or of a part that begins at a cell."""
        texture = backward_warp(current.texture, flow.arrived, corner=corner)
        (y, x), (height, width) = corner, texture.shape[-2:]
        state = join([current.texture[..., y : y + height, x : x + width], texture, flow.logs])
        hidden = F.relu(self.enter(state), inplace=True)
        for block in self.blocks:
            hidden = hidden + F.relu(block(hidden), inplace=True)
        paint, shares, correction, _ = torch.split(self.leave(hidden), OUTPUTS, 1)
        field = upsample_convex((flow.arrived + correction) * CELL, shares.contiguous())
        field = upsample(field, CELL // 2)
        warped = backward_warp(current.frames, field, "bicubic", (CELL * y, CELL * x))
        return painted(paint, warped)

    def render_box(
        self, current: Features, flow: Flow, moving: torch.Tensor, box: Box
    ) -> torch.Tensor:
        """Render the cells of a box that contains those moving; see `bounding_box`."""
        _, rows, columns = box
        part = Flow(flow.cells[box], flow.arrived[box], flow.logs[box])
        made = self.render_all(current, part, (rows.start, columns.start))
        frames = current.frames.clone()
        rows, columns = (slice(side.start * CELL, side.stop * CELL) for side in (rows, columns))
        shown = by_cell(frames[..., rows, columns])
        mask = moving[box].bool()[:, :, :, None, :, None]
        shown.copy_(by_cell(made).where(mask, shown))
        return frames

    def reaches(self) -> list[int]:
        """Return how many cells around those shown each step computes, the first step first."""
        # From the output: pixels, field at half resolution, layers from the last to the first.
        back = [0, 1, 1, *reversed(BLOCKS), 1]
        return list(accumulate(back))[::-1]

    def render_tiles(
        self, current: Features, flow: Flow, moving: torch.Tensor, tiles: Tiles
    ) -> torch.Tensor:
        """Render the cells of tiles; see `render_all`."""
        first, second, *counts, doubled, shown = tiles.sizes
        arrived = tiles.take(flow.arrived, first)
        texture = tiles.warp(current.texture, arrived)
        state = join([tiles.take(current.texture, first), texture, tiles.take(flow.logs, first)])
        hidden = F.relu(inner(self.enter, tiles.surround(state, second, 1)), inplace=True)
        for block, dilation, count in zip(self.blocks, BLOCKS, counts, strict=True):
            assert isinstance(block, nn.Conv2d)
            around = tiles.surround(hidden, count, dilation)
            hidden = hidden[:count].add_(F.relu(inner(block, around), inplace=True))
        paint, shares, correction, _ = torch.split(self.leave(hidden), OUTPUTS, 1)
        field = flow.arrived.clone()
        tiles.put(field, arrived[: len(hidden)] + correction)
        around = tiles.take(field, doubled, halo=1) * CELL
        half = field.new_empty(1, 2, 2 * tiles.height, 2 * tiles.width)
        tiles.put(half, convex(around, shares[:doubled].contiguous()), 2)
        field = upsample(tiles.take(half, shown, halo=1, scale=2), CELL // 2)[..., 2:-2, 2:-2]
        warped = tiles.warp(current.frames, field, mode="bicubic")
        made = painted(paint[:shown], warped)
        mask = tiles.take(moving, shown).bool()[:, :, :, None, :, None]
        frames = current.frames.clone()
        before = tiles.take(frames, shown, scale=CELL)
        tiles.put(frames, by_cell(made).where(mask, by_cell(before)).view_as(made), CELL)
        return frames


def bounding_box(mask: torch.Tensor, margin: int) -> Box:
    """Return the index of the least rectangle around the ones of (N, 1, h, w), and a margin."""
    rows, columns = mask.amax((0, 1, 3)).nonzero(), mask.amax((0, 1, 2)).nonzero()
    top, left = (max(int(inside[0]) - margin, 0) for inside in (rows, columns))
    bottom, right = (int(inside[-1]) + margin + 1 for inside in (rows, columns))
    return ..., slice(top, bottom), slice(left, right)


def by_cell(frames: torch.Tensor) -> torch.Tensor:
    """Return a view of frames (N, 3, 4h, 4w) by cells, (N, 3, h, 4, w, 4)."""
    n, channels, height, width = frames.shape
    return frames.view(n, channels, height // CELL, CELL, width // CELL, CELL)


def inner(layer: nn.Conv2d, maps: torch.Tensor) -> torch.Tensor:
    """Apply a convolution where it needs no padding."""
    return F.conv2d(maps, layer.weight, layer.bias, dilation=layer.dilation)


def painted(paint: torch.Tensor, warped: torch.Tensor) -> torch.Tensor:
    """Blend new colours and their opacity (N, 64, h, w) into pictures (N, 3, 4h, 4w)."""
    colour, opacity = torch.split(F.pixel_shuffle(paint, CELL), [3, 1], 1)
    return warped + opacity.sigmoid() * (colour - warped)
