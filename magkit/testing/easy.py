"""What methods are easily taught on: soft patches of colour, no two pictures alike."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magkit.runtime.seeds import generator
from magkit.selfsup.frames.source import SINGLE, to_bytes, to_floats
from magkit.specs import MapInfo

PATCHES = 5  # a side of a picture
CHANNELS, STRIDE = 16, 4


class EasyFrames:
    """Pictures of 5 x 5 colours that run into one another, as a `FrameSource`.

    Args:
        count: how many there are; they are made as they are asked for.
        size: their side in pixels.
    """

    roles = SINGLE
    unreadable: Collection[str] = ()

    def __init__(self, count: int, size: int) -> None:
        self._count, self._size = count, size

    def __len__(self) -> int:
        return self._count

    def __str__(self) -> str:
        return f"{self._count} pictures of patches"

    def frames(self, indices: Sequence[int], role: str) -> Tensor:
        """Return frames (N, 3, S, S); see `FrameSource`."""
        del role
        rows = [torch.rand(3, PATCHES, PATCHES, generator=generator(0, i)) for i in indices]
        size = (self._size, self._size)
        smooth = F.interpolate(torch.stack(rows), size, mode="bilinear", align_corners=False)
        return to_floats(list(to_bytes(smooth)))

    def described(self) -> dict[str, Any]:
        """Return what they are made by."""
        return {"patches": PATCHES, "count": self._count, "size": self._size}


class EasyEncoder(nn.Module):
    """Frames (N, 3, H, W) to the maps (N, 16, H/4, W/4) of each branch.

    It normalises over the batch, as torchvision's backbones do: its statistics are state too, and
    could tell a key.
    """

    def __init__(self, branches: Sequence[str]) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, CHANNELS, STRIDE, STRIDE, bias=False),
            nn.BatchNorm2d(CHANNELS),
            nn.ReLU(),
        )
        self.branches = nn.ModuleDict(
            {branch: nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False) for branch in branches}
        )

    def forward(self, frames_NCHW: Tensor) -> dict[str, Tensor]:
        """Encode frames in [0, 1]."""
        trunk = self.trunk(frames_NCHW)
        return {name: branch(trunk) for name, branch in self.branches.items()}


MAPS = MapInfo(channels=CHANNELS, stride=STRIDE, centre=STRIDE / 2)
"""What its maps are like: each cell looks at, but for its neighbours, the square it stands for."""
