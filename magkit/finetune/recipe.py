"""How a magnifier is trained: settings by name, from its preset and from whoever asks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from magkit.errors import UsageError
from magkit.synth.scene import SceneConfig
from magkit.synth.triplets import Degradation
from magkit.training.config import TrainConfig, make_parts

OWNER = "the training"
NOT_COMPARED = ("save_every", "sample_every")  # they change no result


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchConfig:
    """How many scenes a step sees; the default is that of Oh et al., ECCV 2018, section 4."""

    batch: int = field(default=4, metadata={"help": "scenes a step"})

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError("batch must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """How the encoder learns beside the rest, whether it was trained before or not."""

    freeze: int = field(
        default=0, metadata={"help": "steps at the start during which the encoder stays as it is"}
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
    """Every setting of a training on scenes."""

    train: TrainConfig
    scenes: SceneConfig
    batches: BatchConfig
    degradation: Degradation
    encoder: EncoderConfig

    def compared(self) -> dict[str, Any]:
        """Return the settings that determine the result, by name."""
        parts = (self.train, self.scenes, self.batches, self.degradation, self.encoder)
        settings = {key: value for part in parts for key, value in asdict(part).items()}
        return {key: value for key, value in settings.items() if key not in NOT_COMPARED}


def make_recipe(*layers: Mapping[str, Any]) -> Recipe:
    """Make a recipe of the defaults and of settings by name, of which later layers outdo earlier.

    Values are those of the fields of `TrainConfig`, `SceneConfig`, `BatchConfig`, `Degradation`
    and `EncoderConfig`, or texts that say the same.

    Raises:
        UsageError: an unknown name, or a value that is refused.
    """
    recipe = Recipe(*make_parts(PARTS, layers, OWNER))
    if recipe.batches.batch % recipe.train.accumulate:
        raise UsageError("accumulate must divide batch: its parts are equal")
    return recipe
