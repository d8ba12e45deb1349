"""The learning rate over a training."""

from __future__ import annotations

import math

from magkit.training.config import TrainConfig


def learning_rate(config: TrainConfig, step: int) -> float:
    """Return the rate at `step` (0 to steps - 1): linear warm-up, then half a cosine."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    done = (step - config.warmup) / max(config.steps - config.warmup, 1)
    wave = (1 + math.cos(math.pi * done)) / 2
    return config.lr * (config.final + (1 - config.final) * wave)
