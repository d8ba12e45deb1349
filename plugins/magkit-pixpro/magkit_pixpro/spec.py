"""What PixPro is, without importing torch: magkit reads this to list it and to show its help."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from magkit import MapInfo, MethodSpec, Preset, hookimpl
from magkit.toolkit import CPU_PRESET_SETTINGS

if TYPE_CHECKING:
    from magkit_pixpro.method import PixPro


@dataclass(frozen=True, slots=True, kw_only=True)
class PixProConfig:
    """Defaults are those of Xie et al., CVPR 2021, and of their code."""

    hidden: int = field(default=4096, metadata={"help": "width of the projector"})
    dim: int = field(default=256, metadata={"help": "length of a cell's projection"})
    grid: int = field(
        default=7,
        metadata={"help": "cells a side that a map is averaged to, if it has more"},
    )
    threshold: float = field(
        default=0.7,
        metadata={"help": "cells nearer than this are one place; 1: the larger cell's diagonal"},
    )
    gamma: float = field(
        default=2.0, metadata={"help": "sharpness of the similarity that cells are smoothed by"}
    )
    tau: float = field(
        default=0.99, metadata={"help": "first decay of the target's average; rises to 1"}
    )

    def __post_init__(self) -> None:
        if min(self.hidden, self.dim, self.grid) < 1:
            raise ValueError("hidden, dim and grid must be at least 1")
        if not self.threshold > 0:
            raise ValueError("threshold must be above 0")
        if not 1 <= self.gamma < math.inf:
            raise ValueError("gamma must be at least 1: below, gradients have no bound")
        if not 0 <= self.tau <= 1:
            raise ValueError("tau must be in [0, 1]")


def build(config: PixProConfig, maps: MapInfo) -> PixPro:
    """Build the method for such feature maps, with random weights."""
    from magkit_pixpro.method import PixPro

    return PixPro(config, maps)


PAPER: dict[str, Any] = {
    "batch": 1024,
    "optimizer": "lars",
    "lr": 1.0,
    "momentum": 0.9,
    "weight_decay": 1e-5,
    "frame": 256,  # what views of 224 pixels are cut out of
    "size": 224,
    "scale": (0.08, 1.0),
    "flip": 0.5,
    "jitter": (0.8, 0.8),
    "brightness": 0.4,
    "contrast": 0.4,
    "saturation": 0.2,
    "hue": 0.1,
    "grey": (0.2, 0.2),
    "blur": (1.0, 0.1),
    "sigma": (0.1, 2.0),
    "solarize": (0.0, 0.2),
}

SPEC = MethodSpec(
    name="pixpro",
    summary="smooth each place by those like it, and find it again in a slower network's view"
    " (PixPro)",
    config=PixProConfig,
    build=build,
    presets={
        "small": Preset(
            why="for 1,000 to 20,000 frames on a CPU: 64 views of 96 pixels a step; AdamW at"
            " 0.001, since LARS is for batches of thousands; crops of a fifth of a frame and"
            " more, which nearly always share places; colour changes and blur half as strong as"
            " published, so that features keep what a magnifier draws with; the published grid"
            " and tau, which lags 100 of 2,000 steps",
            settings=CPU_PRESET_SETTINGS,
            options={"hidden": 256, "dim": 64},
        ),
        "paper": Preset(
            why="Xie et al. and their code: ImageNet, ResNet-50, 100 or 400 epochs of which 5 warm"
            " up; both are left to the number of frames (steps = epochs x frames / batch)",
            settings=PAPER,
        ),
    },
    paper="Xie et al., CVPR 2021, arXiv 2011.10043",
)


@hookimpl
def magkit_methods() -> list[MethodSpec[PixProConfig]]:
    """Give magkit the method."""
    return [SPEC]
