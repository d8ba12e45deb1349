"""Pictures of waves that can be displaced by any fraction of a pixel, exactly."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from magkit.runtime.seeds import generator
from magkit.synth.triplets import Triplets

WAVES = 3
MOST = 3  # waves across a picture, along each side: none is mistaken for its neighbour
CONTRAST = 0.45


def waves(size: int, places_N2: Tensor, seed: int = 0) -> Tensor:
    """Return one scene displaced by (x, y) pixels, frames (N, 3, S, S) in [0, 1].

    It repeats beyond its edges: what leaves it comes in at the other side.

    Args:
        size: S, the side.
        places_N2: the displacements.
        seed: of the scene.
    """
    draw = generator(seed)
    counts_K2 = torch.randint(-MOST, MOST + 1, (WAVES, 2), generator=draw).double()
    counts_K2[:2] = torch.tensor([[3.0, 1.0], [-1.0, 3.0]])  # something to see in all directions
    phases_3K = torch.rand(3, WAVES, generator=draw, dtype=torch.float64)
    along = torch.arange(size, dtype=torch.float64) + 0.5
    y, x = torch.meshgrid(along, along, indexing="ij")
    places_NHW2 = torch.stack([x, y], -1) - places_N2.double()[:, None, None]
    turns_NHWK = places_NHW2 @ counts_K2.T / size
    angles = 2 * math.pi * (turns_NHWK[:, None] + phases_3K[:, None, None])
    return (0.5 + CONTRAST * angles.sin().mean(-1)).float()


def scenes(size: int, factors_N: Tensor, *, told: bool) -> Triplets:
    """Return scenes that move as a whole by half a pixel, to be trained on.

    Args:
        size: the side of the frames.
        factors_N: how many times the motion is shown.
        told: whether the motion is; as in data that others published, it is else no number.
    """
    count = len(factors_N)
    motion_N2 = torch.tensor([[0.5, -0.25]]).repeat(count, 1)
    parts = [
        torch.cat([waves(size, part[n : n + 1], seed=n) for n in range(count)])
        for part in (0 * motion_N2, motion_N2, motion_N2 * factors_N[:, None])
    ]
    field = motion_N2[:, :, None, None].expand(count, 2, size, size)
    moving = torch.ones(count, 1, size, size)
    unknown = 0.0 if told else math.nan
    return Triplets(
        a=parts[0],
        b=parts[1],
        c=parts[1],
        m=parts[2],
        factor=factors_N,
        motion=field + unknown,
        moving=moving + unknown,
    )
