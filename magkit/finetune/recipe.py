"""Settings of a finetuning by name: a magnifier's preset, then those of the caller."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from magkit.errors import UsageError
from magkit.synth.scene import SceneConfig
from magkit.synth.triplets import Degradation
from magkit.training.config import TrainConfig, make_configs, result_settings

OWNER = "the training"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchConfig:
    """Scenes of a step; the default is that of Oh et al., ECCV 2018, section 4."""

    batch: int = field(default=4, metadata={"help": "scenes a step"})

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError("batch must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """Freezing and learning rate of the encoder, pretrained or not."""

    freeze: int = field(
        default=0, metadata={"help": "first steps during which the encoder is frozen"}
    )
    encoder_lr: float = field(
        default=1.0, metadata={"help": "the encoder's learning rate over --lr"}
    )

    def __post_init__(self) -> None:
        if self.freeze < 0:
            raise ValueError("freeze must not be negative")
        if not 0 < self.encoder_lr < math.inf:
            raise ValueError("encoder_lr must be above 0; freeze keeps the encoder as it is")


PARTS = (TrainConfig, SceneConfig, BatchConfig, Degradation, EncoderConfig)


@dataclass(frozen=True, slots=True)
class Recipe:
    """All settings of a finetuning."""

    train: TrainConfig
    scenes: SceneConfig
    batches: BatchConfig
    degradation: Degradation
    encoder: EncoderConfig

    def result_settings(self) -> dict[str, Any]:
        """Return the settings that determine the result, by name."""
        return result_settings(
            self.train, self.scenes, self.batches, self.degradation, self.encoder
        )


def make_recipe(*layers: Mapping[str, Any]) -> Recipe:
    """Make a recipe of the defaults and of settings by name; later layers override earlier ones.

    They are fields of `TrainConfig`, `SceneConfig`, `BatchConfig`, `Degradation` and
    `EncoderConfig`, as values or texts.

    Raises:
        UsageError: an unknown name, or a value that is refused.
    """
    recipe = Recipe(*make_configs(PARTS, layers, OWNER))
    if recipe.batches.batch % recipe.train.accumulate:
        raise UsageError(
            "accumulate must divide batch: micro-batches are equal",
            f"--batch must be a multiple of {recipe.train.accumulate}",
        )
    return recipe
