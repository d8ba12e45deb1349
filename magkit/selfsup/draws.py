"""What is drawn at random for a view, by name."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from magkit.runtime.seeds import generator

VIEW = 8  # first part of the key of a view's draws


class Draws(NamedTuple):
    """Uniform numbers in [0, 1), (N,) each: where in its range a change lies, or if it happens."""

    area: Tensor
    ratio: Tensor
    left: Tensor
    top: Tensor
    flip: Tensor
    jitter: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    grey: Tensor
    blur: Tensor
    sigma: Tensor
    solarize: Tensor


def draw_views(seed: int, epochs_N: Tensor, indices_N: Tensor, *key: int) -> Tensor:
    """Return the draws (N, U) of one view of each frame, for `make_views`.

    A row is a pure function of (seed, epoch, index, key), whatever else is in the batch.

    Args:
        seed: of the training.
        epochs_N: which time each frame is seen, whole numbers.
        indices_N: the frames' numbers.
        key: tells the views of a frame apart, (branch, first or second view) for example.
    """
    times = zip(epochs_N.tolist(), indices_N.tolist(), strict=True)
    count = len(Draws._fields)
    rows = [
        torch.rand(count, generator=generator(seed, VIEW, *key, epoch, index))
        for epoch, index in times
    ]
    return torch.stack(rows) if rows else torch.empty(0, count)
