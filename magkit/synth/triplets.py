"""The record that training and evaluation work on."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

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

    def to(self, device: torch.device | str) -> Triplets:
        """Move all tensors to a device."""
        return Triplets(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def with_noise(self, generator: torch.Generator, strength: float = 0.3) -> Triplets:
        """Add photon noise to a, b and c, never to m.

        Its standard deviation at value x in [0, 1] is n sqrt(2 x / 127.5) / 2 with n uniform in
        [0, strength], one a scene (Oh et al. 2018, section 4 and the authors' preprocessor, which
        draws n once for a whole training by mistake).
        """
        n = torch.rand(len(self.factor), 1, 1, 1, generator=generator) * strength
        return replace(
            self,
            **{name: _noisy(getattr(self, name), n, generator) for name in ("a", "b", "c")},
        )


def _noisy(frames: torch.Tensor, n: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    normal = torch.randn(frames.shape, generator=generator).to(frames.device)
    spread = n.to(frames.device) * (2 * frames / 127.5).sqrt() / 2
    return (frames + spread * normal).clamp(0, 1)
