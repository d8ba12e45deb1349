"""Options and registration of the magnifier `magnet-fast`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from magkit.specs import EncoderSpec, MagnifierSpec


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


SPEC = MagnifierSpec(
    name="magnet-fast",
    summary="displacement by least squares, then a warp: made for a CPU",
    config=FastConfig,
    build="magkit.magnify.fast:MagnetFast",
    losses="magkit.magnify.fast:fast_losses",
    encoder=EncoderSpec(
        build="magkit.magnify.fast:FastEncoder",
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
