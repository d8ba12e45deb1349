"""Draws made by hand, and changes switched off."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from magkit.selfsup.recipe import ViewConfig
from magkit.selfsup.views import AugmentationParams, draw_params


@pytest.fixture(scope="session")
def plain() -> Callable[..., ViewConfig]:
    """Makes a configuration of crops and mirrors alone, with other settings by name."""

    def make(**others: object) -> ViewConfig:
        none = (0.0, 0.0)
        off = {"jitter": none, "grey": none, "blur": none, "solarize": none}
        return ViewConfig(**{**off, **others})  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def draws() -> Callable[..., Tensor]:
    """Makes the draws (N, U) of views, some of them set by name."""

    def make(count: int, seed: int = 0, **given: float) -> Tensor:
        rows = draw_params(seed, torch.zeros(count).long(), torch.arange(count))
        for name, value in given.items():
            rows[:, AugmentationParams._fields.index(name)] = value
        return rows

    return make
