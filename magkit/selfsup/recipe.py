"""Settings of a pretraining, and those that the methods' first presets share. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from magkit.errors import UsageError
from magkit.training.config import TrainConfig, make_configs, result_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewConfig:
    """Augmentations and their ranges; defaults are those of MoCo v2 (Chen et al., 2020).

    Pairs of probabilities are those of the first and of the second view, which differ in BYOL
    (Grill et al., NeurIPS 2020, appendix B).
    """

    size: int = field(default=96, metadata={"help": "side of the square views, pixels"})
    scale: tuple[float, float] = field(
        default=(0.2, 1.0), metadata={"help": "range of a crop's area over the frame's"}
    )
    ratio: tuple[float, float] = field(
        default=(3 / 4, 4 / 3), metadata={"help": "range of a crop's width over its height"}
    )
    flip: float = field(default=0.5, metadata={"help": "probability of a horizontal flip"})
    jitter: tuple[float, float] = field(
        default=(0.8, 0.8), metadata={"help": "probabilities of colour jitter"}
    )
    brightness: float = field(default=0.4, metadata={"help": "greatest change of brightness"})
    contrast: float = field(default=0.4, metadata={"help": "greatest change of contrast"})
    saturation: float = field(default=0.4, metadata={"help": "greatest change of saturation"})
    hue: float = field(default=0.1, metadata={"help": "greatest change of hue, turns"})
    grey: tuple[float, float] = field(
        default=(0.2, 0.2), metadata={"help": "probabilities of conversion to greyscale"}
    )
    blur: tuple[float, float] = field(
        default=(0.5, 0.5), metadata={"help": "probabilities of Gaussian blur"}
    )
    sigma: tuple[float, float] = field(
        default=(0.1, 2.0),
        metadata={"help": "range of the blur's standard deviation, pixels of a view 224 wide"},
    )
    solarize: tuple[float, float] = field(
        default=(0.0, 0.0), metadata={"help": "probabilities of inverting bright values"}
    )

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 4096:
            raise ValueError("size must be in [8, 4096] pixels")
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError("scale must satisfy 0 < low <= high <= 1")
        if not 0 < self.ratio[0] <= 1 <= self.ratio[1]:
            raise ValueError("ratio must satisfy 0 < low <= 1 <= high")
        if not 0 < self.sigma[0] <= self.sigma[1]:
            raise ValueError("sigma must satisfy 0 < low <= high")
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1]")
        if not 0 <= self.hue <= 0.5:
            raise ValueError("hue must be in [0, 0.5]")
        chances = (self.flip, *self.jitter, *self.grey, *self.blur, *self.solarize)
        if not all(0 <= chance <= 1 for chance in chances):
            raise ValueError("flip, jitter, grey, blur and solarize must be in [0, 1]")


OWNER = "the pretraining"
REFERENCE_BATCH = 256  # frames: the batch for which `lr` is given
DEFAULTS: Mapping[str, Any] = {
    "optimizer": "adamw",
    "lr": 1e-3,
    "steps": 2000,
    "warmup": 100,
    "final_lr_ratio": 0.0,
    "ema": 0.0,
    "sample_every": 100,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameConfig:
    """Frames of a step, and how pairs of views are made of them."""

    batch: int = field(default=64, metadata={"help": "frames a step"})
    frame: int = field(
        default=160, metadata={"help": "side in pixels of the frames that views are cut out of"}
    )
    pairs: Literal["auto", "views", "scenes"] = field(
        default="auto",
        metadata={
            "help": "two views of one frame; or views of A and C for texture, of B and C for"
            " motion; auto: scenes where there are some"
        },
    )

    def __post_init__(self) -> None:
        if self.batch < 2:
            raise ValueError("batch must be at least 2")
        if not 16 <= self.frame <= 4096:
            raise ValueError("frame must be in [16, 4096]")


PARTS = (TrainConfig, FrameConfig, ViewConfig)


@dataclass(frozen=True, slots=True)
class Recipe:
    """All settings of a pretraining; `train.lr` is scaled to the batch."""

    train: TrainConfig
    frames: FrameConfig
    views: ViewConfig

    def result_settings(self) -> dict[str, Any]:
        """Return the settings that determine the result, by name."""
        return result_settings(self.train, self.frames, self.views)


def make_recipe(*layers: Mapping[str, Any]) -> Recipe:
    """Make a recipe of the defaults and of settings by name; later layers override earlier ones.

    `lr` is given for 256 samples, and is scaled to the batch (Goyal et al., arXiv 1706.02677).

    Raises:
        UsageError: an unknown name, or a value that is refused.
    """
    train, frames, views = make_configs(PARTS, [DEFAULTS, *layers], OWNER)
    if frames.batch % train.accumulate or frames.batch // train.accumulate < 2:
        raise UsageError("accumulate must divide batch into parts of at least 2 frames")
    if views.size > frames.frame:
        raise UsageError(
            f"views of {views.size} pixels can't be cut out of frames of {frames.frame}",
            "a smaller size, or a larger frame",
        )
    return Recipe(replace(train, lr=train.lr * frames.batch / REFERENCE_BATCH), frames, views)


CPU_PRESET_SETTINGS: dict[str, Any] = {
    "steps": 2000,
    "batch": 64,
    "optimizer": "adamw",
    "lr": 4e-3,
    "weight_decay": 0.01,
    "warmup": 100,
    "size": 96,
    "scale": (0.2, 1.0),
    "flip": 0.5,
    "jitter": (0.8, 0.8),
    "brightness": 0.2,
    "contrast": 0.2,
    "saturation": 0.1,
    "hue": 0.05,
    "grey": (0.1, 0.1),
    "blur": (0.25, 0.25),
    "sigma": (0.1, 1.0),
    "solarize": (0.0, 0.0),
}

CPU_PRESET = (
    "for 1,000 to 20,000 frames on a CPU: 64 views of 96 pixels a step; AdamW at 0.001, since a "
    "small encoder without normalisation has gradients of very different sizes and LARS is for "
    "batches of thousands; colour changes and blur half as strong as published, so that textures "
    "keep the colours and the detail that a magnifier draws with"
)
