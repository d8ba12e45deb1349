"""Settings of a training and its learning-rate schedule. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from magkit.errors import UsageError, did_you_mean
from magkit.options import from_mapping, option_key

RENAMED_SETTINGS = {"final": "final_lr_ratio"}  # of magkit 0.1
NO_EFFECT = ("save_every", "sample_every")  # settings that don't change the result


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """The optimiser and its schedule; defaults are those of Oh et al., ECCV 2018, section 4."""

    steps: int = field(default=1000, metadata={"help": "optimiser steps"})
    lr: float = field(default=1e-4, metadata={"help": "learning rate"})
    optimizer: Literal["adam", "adamw", "sgd", "lars"] = field(
        default="adam", metadata={"help": "the update rule"}
    )
    momentum: float = field(default=0.9, metadata={"help": "of SGD and LARS"})
    weight_decay: float = field(default=0.0, metadata={"help": "of weights, not biases and norms"})
    beta1: float = field(default=0.9, metadata={"help": "decay of Adam's first moment"})
    beta2: float = field(default=0.999, metadata={"help": "decay of Adam's second moment"})
    warmup: int = field(default=0, metadata={"help": "steps of linear warm-up"})
    final_lr_ratio: float = field(
        default=1.0, metadata={"help": "final learning rate over --lr, after a cosine decay"}
    )
    clip: float = field(default=1.0, metadata={"help": "maximum norm of the gradient"})
    ema: float = field(
        default=0.999, metadata={"help": "decay of the weights' moving average; 0: none"}
    )
    save_every: int = field(default=200, metadata={"help": "steps between checkpoints"})
    sample_every: int = field(default=500, metadata={"help": "steps between sample pictures"})
    accumulate: int = field(
        default=1, metadata={"help": "gradient-accumulation micro-batches a step"}
    )
    precision: Literal["full", "bf16"] = field(
        default="full", metadata={"help": "autocast dtype; full: none"}
    )
    seed: int = field(default=0, metadata={"help": "seed of weights, scenes and noise"})

    def __post_init__(self) -> None:
        if self.steps < 1 or self.save_every < 1 or self.sample_every < 1:
            raise ValueError("steps, save_every and sample_every must be at least 1")
        if not 0 < self.lr < math.inf or not self.clip > 0:
            raise ValueError("lr and clip must be above 0")
        if not 0 <= self.beta1 < 1 or not 0 <= self.beta2 < 1:
            raise ValueError("beta1 and beta2 must be in [0, 1)")
        if not 0 <= self.momentum < 1 or not 0 <= self.weight_decay < math.inf:
            raise ValueError("momentum must be in [0, 1) and weight_decay not negative")
        if self.accumulate < 1:
            raise ValueError("accumulate must be at least 1")
        if self.warmup < 0 or self.seed < 0:
            raise ValueError("warmup and seed must not be negative")
        if not 0 <= self.ema < 1 or not 0 <= self.final_lr_ratio <= 1:
            raise ValueError("ema must be in [0, 1) and final_lr_ratio in [0, 1]")


def make_configs(
    configs: Sequence[type[Any]], layers: Sequence[Mapping[str, Any]], owner: str
) -> list[Any]:
    """Make an instance of each class from its defaults and settings by name.

    Args:
        configs: frozen dataclasses; no two have a field of the same name.
        layers: values of fields by name, or their texts; later layers override earlier ones.
        owner: of the settings, for messages.

    Raises:
        UsageError: an unknown name, or a value that is refused.
    """
    settings = {setting_name(key): value for layer in layers for key, value in layer.items()}
    known = [f.name for config in configs for f in fields(config)]
    for key in settings:
        if key not in known:
            raise UsageError(f"no setting of {owner} is named '{key}'", did_you_mean(key, known))
    return [
        from_mapping(
            config, {f.name: settings[f.name] for f in fields(config) if f.name in settings}, owner
        )
        for config in configs
    ]


def setting_name(text: str) -> str:
    """Return the name of the setting that a key means: with hyphens, or the one of magkit 0.1."""
    key = option_key(text)
    return RENAMED_SETTINGS.get(key, key)


def result_settings(*configs: Any) -> dict[str, Any]:
    """Return the settings that determine the result of a training, by name."""
    settings = {key: value for config in configs for key, value in asdict(config).items()}
    return {key: value for key, value in settings.items() if key not in NO_EFFECT}


def learning_rate(config: TrainConfig, step: int) -> float:
    """Return the learning rate at `step` (0 to steps - 1): linear warm-up, then cosine decay."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    done = (step - config.warmup) / max(config.steps - config.warmup, 1)
    cosine = (1 + math.cos(math.pi * done)) / 2
    return config.lr * (config.final_lr_ratio + (1 - config.final_lr_ratio) * cosine)
