"""Configuration and registration of `magnet-fast`. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from magkit.specs import EncoderSpec, MagnifierSpec

if TYPE_CHECKING:
    from torch import Tensor

    from magkit.magnify.fast import FastEncoder, MagnetFast
    from magkit.synth.triplets import Triplets


@dataclass(frozen=True, slots=True, kw_only=True)
class FastConfig:
    """Sizes of the network, in channels."""

    stem: int = field(default=48, metadata={"help": "channels of the encoder's first layers"})
    width: int = field(default=32, metadata={"help": "texture and motion channels each"})
    guide: int = field(default=48, metadata={"help": "channels where displacement is measured"})
    hidden: int = field(default=48, metadata={"help": "channels where the frame is drawn"})

    def __post_init__(self) -> None:
        if min(self.stem, self.width, self.guide, self.hidden) < 4:
            raise ValueError("every number of channels must be at least 4")


def build(config: FastConfig) -> MagnetFast:
    """Build the network with random weights."""
    from magkit.magnify.fast import MagnetFast

    return MagnetFast(config)


def build_encoder(config: FastConfig) -> FastEncoder:
    """Build the encoder alone with random weights."""
    from magkit.magnify.fast import FastEncoder

    return FastEncoder(config)


def losses(model: MagnetFast, batch: Triplets) -> dict[str, Tensor]:
    """Return what training lowers."""
    from magkit.magnify.fast import fast_losses

    return fast_losses(model, batch)


SPEC = MagnifierSpec(
    name="magnet-fast",
    summary="displacement by least squares, then a warp: made for a CPU",
    config=FastConfig,
    build=build,
    losses=losses,
    encoder=EncoderSpec(
        build=build_encoder,
        strides={"texture": 4, "motion": 4},
        # One layer makes both maps: half of its channels are each branch's.
        groups={
            "trunk": ("encoder.layers.0.*", "encoder.layers.2.*"),
            "texture+motion": ("encoder.layers.4.*",),
        },
    ),
    weights=Path(__file__).parents[1] / "weights" / "magnet-fast.safetensors",
    preset={
        "steps": 9000,
        "lr": 1e-3,
        "warmup": 200,
        "final_lr_ratio": 0.01,
        "ema": 0.998,
        "batch": 8,
        "noise": 0.25,
        "read_noise": 0.01,
        "coded": 0.4,
        "size": 128,
        "factors": (2.0, 100.0),
        "objects": (5, 11),
    },
)
