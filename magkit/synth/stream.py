"""Scenes as batches for training, rendered as they are asked for."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from magkit.synth.render import Sources, render
from magkit.synth.scene import SceneConfig, draw_scene
from magkit.synth.triplets import Triplets


class SceneBatches(Dataset[Triplets]):
    """Batch `step` holds scenes `step * batch` and on: a pure function of its arguments."""

    def __init__(
        self, config: SceneConfig, sources: Sources, seed: int, batch: int, steps: int
    ) -> None:
        self.config, self.sources = config, sources
        self.seed, self.batch, self.steps = seed, batch, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Triplets:
        counts = len(self.sources.pictures), len(self.sources.cutouts)
        indices = range(step * self.batch, (step + 1) * self.batch)
        scenes = [draw_scene(self.config, *counts, self.seed, index) for index in indices]
        return render(scenes, self.config, self.sources)


def loader(batches: SceneBatches, start: int, workers: int) -> DataLoader[Triplets]:
    """Yield batches from step `start` on, in order, rendered by `workers` other processes.

    With no workers they are rendered in this process. The number changes no batch.
    """
    return DataLoader(
        batches,
        batch_size=None,
        sampler=range(start, len(batches)),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="spawn" if workers else None,
        collate_fn=_as_it_is,
        worker_init_fn=_one_thread,
    )


def _as_it_is(batch: Any) -> Any:
    return batch


def _one_thread(worker: int) -> None:
    del worker
    torch.set_num_threads(1)
