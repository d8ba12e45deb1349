"""The encoder of `magnet-fast`, and layers that its networks share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from magkit.magnify.lucas_kanade import CELL, pyramid


@dataclass(frozen=True, slots=True)
class Features:
    """A frame and its encoder features."""

    frames: torch.Tensor  # (N, 3, H, W)
    details: list[torch.Tensor]  # of its brightness; see `pyramid`
    texture: torch.Tensor  # (N, width, H/4, W/4)
    motion: torch.Tensor  # (N, width, H/4, W/4)


def conv(inputs: int, outputs: int, dilation: int = 1) -> nn.Conv2d:
    """Make a 3 x 3 convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, 1, dilation, dilation)


def constant_init(layer: nn.Conv2d, bias: Sequence[float] = (0.0,)) -> nn.Conv2d:
    """Zero a layer's weights: the initial network is plain least squares and a warp."""
    nn.init.zeros_(layer.weight)
    layer.bias = nn.Parameter(torch.tensor(bias).expand(layer.out_channels).clone())
    return layer


def signed_log(x: torch.Tensor) -> torch.Tensor:
    """Return sign(x) log(1 + |x|), for inputs of many orders of magnitude."""
    return x.sign() * (1 + x.abs()).log()


def join(maps: list[torch.Tensor]) -> torch.Tensor:
    """Concatenate channels in the memory format of the first map."""
    if maps[0].stride(1) == 1:
        maps = [m.contiguous(memory_format=torch.channels_last) for m in maps]
    return torch.cat(maps, 1)


class Encoder(nn.Module):
    """Frames to texture and motion features."""

    def __init__(self, width: int, stem: int) -> None:
        super().__init__()
        self.width = width
        # The last layer computes both branches at once, which is faster than one layer each.
        self.layers = nn.Sequential(
            nn.Conv2d(3, stem, 2 * CELL, CELL, CELL // 2),
            nn.ReLU(inplace=True),
            conv(stem, stem),
            nn.ReLU(inplace=True),
            conv(stem, 2 * width),
            nn.ReLU(inplace=True),
        )

    def forward(self, frames_NCHW: torch.Tensor) -> Features:
        """Encode frames in [0, 1] whose sides are multiples of 32."""
        details = pyramid(frames_NCHW.mean(1, keepdim=True))
        texture, motion = self.branches(frames_NCHW)
        return Features(frames_NCHW, details, texture, motion)

    def branches(self, frames_NCHW: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the features of texture and of motion of frames in [0, 1]."""
        maps: torch.Tensor = self.layers(frames_NCHW - 0.5).to(frames_NCHW.dtype)
        return torch.split(maps, self.width, 1)
