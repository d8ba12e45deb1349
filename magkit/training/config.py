"""The configuration of a training and its learning rate. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from magkit.errors import UsageError, did_you_mean
from magkit.options import from_mapping, option_key


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """The optimiser and its schedule; defaults are those of Oh et al., ECCV 2018, section 4."""

    steps: int = field(default=1000, metadata={"help": "optimiser steps"})
    lr: float = field(default=1e-4, metadata={"help": "learning rate"})
    optimizer: Literal["adam", "adamw", "sgd", "lars"] = field(
        default="adam", metadata={"help": "what makes steps of gradients"}
    )
    momentum: float = field(default=0.9, metadata={"help": "of SGD and LARS"})
    weight_decay: float = field(default=0.0, metadata={"help": "not of biases and of scales"})
    beta1: float = field(default=0.9, metadata={"help": "Adam's decay of the gradient's mean"})
    beta2: float = field(default=0.999, metadata={"help": "Adam's decay of its square's mean"})
    warmup: int = field(default=0, metadata={"help": "steps over which the rate rises from 0"})
    final: float = field(
        default=1.0, metadata={"help": "rate at the end over --lr; falls along a cosine"}
    )
    clip: float = field(default=1.0, metadata={"help": "greatest norm of the gradient"})
    ema: float = field(
        default=0.999, metadata={"help": "decay of the weights' moving average; 0: none"}
    )
    save_every: int = field(default=200, metadata={"help": "steps between checkpoints"})
    sample_every: int = field(default=500, metadata={"help": "steps between sample pictures"})
    accumulate: int = field(
        default=1, metadata={"help": "parts of a batch, one after the other, a step"}
    )
    precision: Literal["full", "bf16"] = field(
        default="full", metadata={"help": "of what can do with 16 bits"}
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
        if not 0 <= self.ema < 1 or not 0 <= self.final <= 1:
            raise ValueError("ema must be in [0, 1) and final in [0, 1]")


def make_parts(
    parts: Sequence[type[Any]], layers: Sequence[Mapping[str, Any]], owner: str
) -> list[Any]:
    """Make a record of each class of its defaults and of settings, of which later layers win.

    Args:
        parts: frozen dataclasses; no two have a field of the same name.
        layers: values of their fields by name, or texts that say the same.
        owner: whose settings they are, for messages.

    Raises:
        UsageError: an unknown name, or a value that is refused.
    """
    settings = {option_key(key): value for layer in layers for key, value in layer.items()}
    known = [f.name for part in parts for f in fields(part)]
    for key in settings:
        if key not in known:
            raise UsageError(f"no setting of {owner} is named '{key}'", did_you_mean(key, known))
    return [
        from_mapping(
            part, {f.name: settings[f.name] for f in fields(part) if f.name in settings}, owner
        )
        for part in parts
    ]


def learning_rate(config: TrainConfig, step: int) -> float:
    """Return the rate at `step` (0 to steps - 1): linear warm-up, then half a cosine."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    done = (step - config.warmup) / max(config.steps - config.warmup, 1)
    wave = (1 + math.cos(math.pi * done)) / 2
    return config.lr * (config.final + (1 - config.final) * wave)
