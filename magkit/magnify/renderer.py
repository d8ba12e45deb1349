"""The renderer of `magnet-fast`: a frame displaced by a field, where anything is to be shown."""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType

import torch
from torch import nn
from torch.nn import functional as F

from magkit.magnify.fast_encoder import Features, constant_init, conv, join, signed_log
from magkit.magnify.lucas_kanade import (
    CELL,
    backward_warp,
    sample,
    sampling_grid,
    splat,
    upsample,
    upsample_convex,
)

SHIFT_UNIT = 2.0  # cells: unit of magnified displacements in the network's logarithmic inputs
STILL = 0.02  # pixels: displacements below this are not shown
BLOCKS = (1, 2, 4, 1)  # cells: dilations of the renderer's layers
REACH = sum(BLOCKS) + 3  # cells: how far a rendered cell depends on those around it
ALIGNED = 8  # cells, which divides the sides of maps of cells
DENSE = 0.7  # share of cells from which on painting all of them is faster than gathering some
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
        if not torch.compiler.is_exporting() and not moving.any():
            return current.frames
        return self.render_moving(current, flow, moving)

    def arrival(self, current: Features, shift: torch.Tensor) -> Flow:
        """Splat the displacement."""
        cells = shift / CELL
        log_shift = signed_log(cells / SHIFT_UNIT)
        logits = self.order(join([current.texture, log_shift])).to(cells.dtype)
        nearness = logits.clamp(-8, 8).exp()
        splatted = splat(torch.cat([cells * nearness, nearness], 1), cells)
        weight = splatted[:, 2:] + 1e-3
        arrived = splatted[:, :2] / weight
        logs = [signed_log(arrived / SHIFT_UNIT), weight.log() / 8, log_shift]
        return Flow(cells, arrived, torch.cat(logs, 1))

    def moving(self, flow: Flow) -> torch.Tensor:
        """Return which cells aren't still, booleans (N, h, w)."""
        lengths = torch.stack([flow.cells, flow.arrived]).square().sum(2, keepdim=True).amax(0)
        return F.max_pool2d((lengths >= (STILL / CELL) ** 2).float(), 3, 1, 1)[:, 0].bool()

    def render_all(self, current: Features, flow: Flow) -> torch.Tensor:
        """Render every cell."""
        paint, grid = self.plan(current, flow)
        colour, opacity = torch.split(F.pixel_shuffle(paint, CELL), [3, 1], 1)
        return blend(sample(current.frames, grid, "bicubic"), colour, opacity)

    def render_moving(self, current: Features, flow: Flow, moving: torch.Tensor) -> torch.Tensor:
        """Render the cells that move, (N, h, w); the networks see the rectangle around them."""
        exporting = torch.compiler.is_exporting()  # to a graph, which has no branches
        if exporting or len(moving) > 1 or moving.float().mean() > DENSE:
            shown = moving.repeat_interleave(CELL, 1).repeat_interleave(CELL, 2)[:, None]
            return self.render_all(current, flow).where(shown, current.frames)
        box = bounding_box(moving, REACH)
        _, rows, columns = box
        part = Flow(flow.cells[box], flow.arrived[box], flow.logs[box])
        paint, grid = self.plan(current, part, (rows.start, columns.start))
        y, x = moving[0, rows, columns].nonzero(as_tuple=True)
        # (1, 4h, 4w, 2) to the M moving cells, one upon another: (1, 4M, 4, 2).
        places = grid.view(len(paint[0, 0]), CELL, -1, CELL, 2)[y, :, x].view(1, -1, CELL, 2)
        warped = sample(current.frames, places, "bicubic").view(3, -1, CELL, CELL)
        painted = paint.permute(0, 2, 3, 1)[0, y, x].view(-1, 4, CELL, CELL)
        made = blend(warped.transpose(0, 1), *torch.split(painted, [3, 1], 1))
        frames = current.frames.clone()
        cells = frames.view(3, -1, CELL, frames.shape[-1] // CELL, CELL)
        cells[:, y + rows.start, :, x + columns.start] = made
        return frames

    def plan(
        self, current: Features, flow: Flow, corner: tuple[int, int] = (0, 0)
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what to paint and where the frame is sampled.

        Args:
            current: the frame.
            flow: of the frame, or of a part.
            corner: row and column of the part's first cell.

        Returns:
            Colours and opacity of each pixel of a cell (N, 64, h, w), and the grid to sample
            (N, 4h, 4w, 2), see `sampling_grid`.
        """
        texture = backward_warp(current.texture, flow.arrived, corner=corner)
        (y, x), (height, width) = corner, texture.shape[-2:]
        state = join([current.texture[..., y : y + height, x : x + width], texture, flow.logs])
        hidden = F.relu(self.enter(state), inplace=True)
        for block in self.blocks:
            hidden = hidden + F.relu(block(hidden), inplace=True)
        paint, shares, correction, _ = torch.split(self.leave(hidden), OUTPUTS, 1)
        arrived = (flow.arrived + correction) * CELL
        half = upsample_convex(arrived, shares.to(arrived.dtype).contiguous())
        size = current.frames.shape[-2:]
        grid = sampling_grid(upsample(half, CELL // 2), size, (CELL * y, CELL * x))
        return paint.to(arrived.dtype), grid


def bounding_box(mask: torch.Tensor, margin: int) -> Box:
    """Return the index of a rectangle around what is true in (N, h, w), and a margin.

    It begins and ends at multiples of `ALIGNED`: convolutions are compiled for each size.
    """
    return ..., _span(mask.any(0).any(1), margin), _span(mask.any(0).any(0), margin)


def _span(line: torch.Tensor, margin: int) -> slice:
    inside = line.nonzero()
    first, last = int(inside[0]) - margin, int(inside[-1]) + margin
    blocks = max(first, 0) // ALIGNED, min(last, len(line) - 1) // ALIGNED + 1
    return slice(blocks[0] * ALIGNED, blocks[1] * ALIGNED)


def blend(warped: torch.Tensor, colour: torch.Tensor, opacity: torch.Tensor) -> torch.Tensor:
    """Blend new colours into pictures (N, 3, H, W); opacity (N, 1, H, W) in logits."""
    return torch.lerp(warped, colour, opacity.sigmoid())
