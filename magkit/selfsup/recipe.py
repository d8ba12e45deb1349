"""The recipe of a pretraining: settings by name, in layers. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from magkit.errors import UsageError
from magkit.training.config import TrainConfig, make_parts


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewConfig:
    """The kinds of change and their ranges; the default is MoCo v2's (Chen et al., 2020).

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
    flip: float = field(default=0.5, metadata={"help": "probability of mirroring left to right"})
    jitter: tuple[float, float] = field(
        default=(0.8, 0.8), metadata={"help": "probabilities of changing colours"}
    )
    brightness: float = field(default=0.4, metadata={"help": "greatest change of brightness"})
    contrast: float = field(default=0.4, metadata={"help": "greatest change of contrast"})
    saturation: float = field(default=0.4, metadata={"help": "greatest change of saturation"})
    hue: float = field(default=0.1, metadata={"help": "greatest change of hue, turns"})
    grey: tuple[float, float] = field(
        default=(0.2, 0.2), metadata={"help": "probabilities of taking all colour away"}
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
RATED = 256  # samples: a rate of 0.03 is one of 0.03 for a batch of so many
NOT_COMPARED = ("save_every", "sample_every")  # they change no result
BASE: Mapping[str, Any] = {
    "optimizer": "adamw",
    "lr": 1e-3,
    "steps": 2000,
    "warmup": 100,
    "final": 0.0,
    "ema": 0.0,
    "sample_every": 100,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameConfig:
    """What a step sees."""

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
    """Every setting of a pretraining; the rate is that of the batch."""

    train: TrainConfig
    frames: FrameConfig
    views: ViewConfig

    def compared(self) -> dict[str, Any]:
        """Return the settings that determine the result, by name."""
        parts = (self.train, self.frames, self.views)
        settings = {key: value for part in parts for key, value in asdict(part).items()}
        return {key: value for key, value in settings.items() if key not in NOT_COMPARED}


def make_recipe(*layers: Mapping[str, Any]) -> Recipe:
    """Make a recipe of the defaults and of settings by name, of which later layers outdo earlier.

    `lr` is given for 256 samples, and is scaled to the batch (Goyal et al., arXiv 1706.02677).

    Raises:
        UsageError: an unknown name, or a value that is refused.
    """
    train, frames, views = make_parts(PARTS, [BASE, *layers], OWNER)
    if frames.batch % train.accumulate or frames.batch // train.accumulate < 2:
        raise UsageError("accumulate must divide batch into parts of at least 2 frames")
    if views.size > frames.frame:
        raise UsageError(
            f"views of {views.size} pixels can't be cut out of frames of {frames.frame}",
            "a smaller size, or a larger frame",
        )
    return Recipe(replace(train, lr=train.lr * frames.batch / RATED), frames, views)
