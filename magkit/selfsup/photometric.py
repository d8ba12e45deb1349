"""`photometric`: the displacement that makes one frame of the other, smooth except at edges.

The unsupervised loss of optical flow (Yu et al., ECCV Workshops 2016), here as a baseline for
`warp`: it uses the same frames, but none of their known displacements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magkit.errors import UsageError
from magkit.magnify.lucas_kanade import backward_warp, pyramid, upsample
from magkit.protocols import DisplacementMagnifier
from magkit.selfsup.photometric_spec import PhotometricConfig
from magkit.selfsup.warp import has_displacement, patterns
from magkit.selfsup.warped import GROUP, WarpedBatch, make_batch
from magkit.specs import MagnifierSpec

CHARBONNIER = 1e-3  # grey levels of 1: differences below are squared
EDGE = 10.0  # per unit of brightness: how fast smoothness ends at edges


class Photometric:
    """The method for a magnifier that measures displacements in pixels."""

    keyed = False
    group = GROUP

    def __init__(self, config: PhotometricConfig) -> None:
        self.config = config
        self.frozen = patterns(config.frozen)

    def batch(self, windows: Sequence[Tensor], first: int, size: int, seed: int, /) -> WarpedBatch:
        """Make a batch; see `warped.make_batch`."""
        return make_batch(windows, first, self.config, size, seed)

    def losses(
        self, magnifier: nn.Module, teacher: nn.Module | None, batch: WarpedBatch, /
    ) -> dict[str, Tensor]:
        """Return what the displacement leaves of the change, and its roughness."""
        del teacher
        model = cast("DisplacementMagnifier", magnifier)
        pairs = [(batch.scenes.a, batch.scenes.b)]
        if batch.pairs is not None:
            pairs.append((batch.pairs.a, batch.pairs.b))
        a, b = (torch.cat(frames) for frames in zip(*pairs, strict=True))
        motion = model.displacement(model.encode(a), model.encode(b))
        before, after = (pyramid(frames.mean(1, keepdim=True))[0] for frames in (a, b))
        left = after - backward_warp(before, upsample(motion, model.cell), "bicubic")
        return {
            "photometric": (left.square() + CHARBONNIER**2).sqrt().mean(),
            "smoothness": self.config.smoothness * _roughness(motion, b),
        }

    def after_step(
        self, magnifier: nn.Module, teacher: nn.Module | None, progress: float, /
    ) -> None:
        """Do nothing: there is no teacher."""


def _roughness(motion: Tensor, frames: Tensor) -> Tensor:
    """Return the mean difference of neighbouring cells' motion, less across edges of the frame."""
    height, width = motion.shape[-2:]
    cells = F.adaptive_avg_pool2d(frames, (height, width))
    total = motion.new_zeros(())
    for dim in (-1, -2):
        edge = cells.diff(dim=dim).abs().mean(1, keepdim=True)
        total = total + (motion.diff(dim=dim).abs() * (-EDGE * edge).exp()).mean()
    return total


def build(config: PhotometricConfig, magnifier: MagnifierSpec[Any]) -> Photometric:
    """Build the method.

    Raises:
        UsageError: the magnifier measures no displacements.
    """
    if not has_displacement(magnifier):
        raise UsageError(
            f"the method 'photometric' can't train '{magnifier.name}', which measures no"
            " displacements",
            "--method warp can",
        )
    return Photometric(config)
