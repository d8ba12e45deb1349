"""Options, presets and registration of the method `photometric`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from magkit.selfsup.warp_spec import WarpedFramesConfig
from magkit.specs import MethodSpec, Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotometricConfig(WarpedFramesConfig):
    """The frames of `warp`, and the weight of smoothness."""

    smoothness: float = field(
        default=0.1, metadata={"help": "weight of the displacement's differences between cells"}
    )

    def __post_init__(self) -> None:
        # `super()` does not work in a dataclass with slots.
        WarpedFramesConfig.__post_init__(self)
        if not 0 <= self.smoothness < math.inf:
            raise ValueError("smoothness must not be negative")


SPEC = MethodSpec(
    name="photometric",
    summary="the second frame as the first one displaced, on the frames of warp: a baseline",
    config=PhotometricConfig,
    trains="magnifier",
    build="magkit.selfsup.photometric:build",
    presets={
        "small": Preset(
            why="as for warp: 8 windows of 128 pixels a step",
            settings={"steps": 600, "batch": 8, "size": 128, "lr": 4e-4},
        )
    },
    paper="Yu, Harley, Derpanis, ECCV Workshops 2016, https://arxiv.org/abs/1608.05842",
)
