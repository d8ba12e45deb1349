"""Batches for training out of a data set, in an order that a seed determines."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch.utils.data import Dataset

from magkit.data.dataset import DataSet
from magkit.runtime.order import in_epochs
from magkit.runtime.seeds import generator
from magkit.synth.degrade import CLEAN, Degradation, degraded
from magkit.synth.triplets import Triplets

ORDER, CROP = 5, 6  # first parts of the keys of an epoch's order and of a batch's windows


class StoredBatches(Dataset[Triplets]):
    """Batch `step` of a training: a pure function of its arguments.

    Scenes come in a new random order every epoch; an epoch may end within a batch.

    Args:
        data: triplets.
        seed: of order, windows and noise.
        batch: scenes in a batch.
        steps: number of batches.
        size: side in pixels of the window that is cut out of each scene at random.
        degradation: of A, B and C.
    """

    def __init__(
        self,
        data: DataSet,
        seed: int,
        batch: int,
        steps: int,
        size: int,
        degradation: Degradation = CLEAN,
    ) -> None:
        self.data, self.seed, self.batch, self.steps = data, seed, batch, steps
        self.size, self.degradation = size, degradation

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Triplets:
        places = range(step * self.batch, (step + 1) * self.batch)
        indices = [number for _, number in in_epochs(places, len(self.data), self.seed, ORDER)]
        scenes = _cut(self.data.triplets(indices), self.size, generator(self.seed, CROP, step))
        return degraded(scenes, self.degradation, self.seed, step)


def _cut(scenes: Triplets, size: int, draws: torch.Generator) -> Triplets:
    """Return a window of size x size pixels of each scene, each at its own place."""
    height, width = scenes.a.shape[-2:]
    if (height, width) == (size, size):
        return scenes
    tops = torch.randint(height - size + 1, (len(scenes.factor),), generator=draws)
    lefts = torch.randint(width - size + 1, (len(scenes.factor),), generator=draws)

    def cut(maps: torch.Tensor) -> torch.Tensor:
        windows = zip(maps, tops.tolist(), lefts.tolist(), strict=True)
        return torch.stack([m[:, y : y + size, x : x + size] for m, y, x in windows])

    names = [f.name for f in fields(Triplets) if f.name != "factor"]
    return Triplets(factor=scenes.factor, **{name: cut(getattr(scenes, name)) for name in names})
