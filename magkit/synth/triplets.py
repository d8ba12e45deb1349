"""The record that training and evaluation work on."""

from __future__ import annotations

import io
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from PIL import Image

QUALITIES = (60, 99)  # of JPEG: from visible blocks to hardly any loss


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

    def with_coding(self, generator: torch.Generator, share: float) -> Triplets:
        """Code a, b and c of a share of the scenes as JPEG, never m, each scene at one quality.

        Clips come from lossy encoders, whose blocks and rounding must not be taken for motion.
        """
        coded = torch.rand(len(self.factor), generator=generator) < share
        qualities = torch.randint(*QUALITIES, (len(self.factor),), generator=generator)
        frames = {name: getattr(self, name).clone() for name in ("a", "b", "c")}
        for index in coded.nonzero().flatten().tolist():
            for pictures in frames.values():
                pictures[index] = _coded(pictures[index], int(qualities[index]))
        return replace(self, **frames)


def _coded(picture: torch.Tensor, quality: int) -> torch.Tensor:
    """Write a picture (3, H, W) as JPEG and read it again."""
    pixels = (picture * 255).round().to("cpu", torch.uint8).permute(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255


def _noisy(frames: torch.Tensor, n: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    normal = torch.randn(frames.shape, generator=generator).to(frames.device)
    spread = n.to(frames.device) * (2 * frames / 127.5).sqrt() / 2
    return (frames + spread * normal).clamp(0, 1)
