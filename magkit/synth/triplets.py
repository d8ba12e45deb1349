"""The record that training and evaluation work on."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class Triplets:
    """N scenes: two frames, the magnified one, and what is known about them.

    Frames are float RGB (N, 3, H, W) in [0, 1].

    Attributes:
        a: the frame before the motion.
        b: the frame after it, its colours changed.
        c: `b` without the change of colour.
        m: the frame in which the motion from a to b is `factor` times as large, coloured like b.
        factor: (N,).
        motion: displacement (x, y) in pixels from a to b of what b shows, (N, 2, H, W).
        moving: in [0, 1], where something that moves is seen in a, b or m, (N, 1, H, W).
    """

    a: torch.Tensor
    b: torch.Tensor
    c: torch.Tensor
    m: torch.Tensor
    factor: torch.Tensor
    motion: torch.Tensor
    moving: torch.Tensor

    def split(self, parts: int) -> list[Triplets]:
        """Return the scenes in equal parts, of which there can't be more than scenes."""
        tables = {f.name: getattr(self, f.name).chunk(parts) for f in fields(self)}
        rows = zip(*tables.values(), strict=True)
        return [Triplets(**dict(zip(tables, row, strict=True))) for row in rows]

    def to(self, device: torch.device | str) -> Triplets:
        """Move all tensors to a device."""
        return Triplets(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})
