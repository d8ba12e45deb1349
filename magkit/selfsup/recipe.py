"""How an encoder is pretrained: settings by name, from a method's preset and from whoever asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from magkit.errors import UsageError
from magkit.selfsup.view_config import ViewConfig
from magkit.training.config import TrainConfig
from magkit.training.settings import make_parts

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
