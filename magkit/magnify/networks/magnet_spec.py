"""What `magnet` is, without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from magkit.specs import MagnifierSpec

if TYPE_CHECKING:
    from torch import Tensor

    from magkit.magnify.networks.magnet import MagNet
    from magkit.synth.triplets import Triplets


@dataclass(frozen=True, slots=True, kw_only=True)
class MagnetConfig:
    """Nothing: the layers are fixed by the published weights."""


def build(config: MagnetConfig) -> MagNet:
    """Build the network with random weights."""
    from magkit.magnify.networks.magnet import MagNet

    return MagNet(config)


def losses(model: MagNet, batch: Triplets) -> dict[str, Tensor]:
    """Return what training lowers: the paper's loss."""
    from magkit.finetune.losses import magnet_losses

    return magnet_losses(model, batch)


SPEC = MagnifierSpec(
    name="magnet",
    summary="encoder, manipulator, decoder, as published",
    config=MagnetConfig,
    build=build,
    losses=losses,
    paper="Oh et al., Learning-based Video Motion Magnification, ECCV 2018, arXiv 1804.02684",
)
