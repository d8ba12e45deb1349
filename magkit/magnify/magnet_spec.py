"""Options and registration of the magnifier `magnet`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from magkit.specs import EncoderSpec, MagnifierSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class MagnetConfig:
    """The differences between the published networks; the defaults are the smallest one's."""

    bias: bool = field(default=False, metadata={"help": "convolutions add a bias"})
    kernel: int = field(default=3, metadata={"help": "side of the manipulator's first kernel"})
    texture_conv: bool = field(
        default=False, metadata={"help": "a convolution after the texture is enlarged"}
    )
    enlarged_conv: bool = field(
        default=False, metadata={"help": "one more convolution at the full resolution"}
    )
    signed: bool = field(
        default=True, metadata={"help": "frames go in and come out in -1 to 1, else in 0 to 1"}
    )
    base: Literal["current", "reference"] = field(
        default="current", metadata={"help": "the frame whose shape the motion is added to"}
    )

    def __post_init__(self) -> None:
        if self.kernel not in (3, 5, 7):
            raise ValueError("kernel must be 3, 5 or 7")


SPEC = MagnifierSpec(
    name="magnet",
    summary="encoder, manipulator, decoder, as published",
    config=MagnetConfig,
    build="magkit.magnify.magnet:MagNet",
    losses="magkit.magnify.magnet:magnet_losses",
    needs_motion=False,
    encoder=EncoderSpec(
        build="magkit.magnify.magnet:MagNetEncoder",
        strides={"texture": 4, "motion": 2},
        centres={"texture": 0.5, "motion": 0.5},  # kernels of odd sides start at the first pixel
        groups={
            "trunk": ("encoder.cba_*", "encoder.resblks.*"),
            "texture": ("encoder.texture_*",),
            "motion": ("encoder.motion_*",),
        },
    ),
    # Section 4 of the paper; the number of steps is what its authors gave when they were asked.
    preset={
        "steps": 260_000,
        "lr": 1e-4,
        "beta1": 0.9,
        "beta2": 0.999,
        "final_lr_ratio": 1.0,
        "batch": 4,
        "noise": 0.3,
        "size": 384,
        "factors": (2.0, 100.0),
    },
    paper="Oh et al., Learning-based Video Motion Magnification, ECCV 2018, arXiv 1804.02684",
)
