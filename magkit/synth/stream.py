"""Batches of scenes for training, rendered on demand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils.data import Dataset

from magkit.runtime.loader import BatchSequence
from magkit.synth.render import Sources, render, render_path
from magkit.synth.scene import SceneConfig, draw_scene
from magkit.synth.triplets import CLEAN, Degradation, Triplets, batch_share, degrade

Batches = BatchSequence[Triplets]


class SceneBatches(Dataset[Triplets]):
    """Batch `step` holds scenes `step * batch` and on: a pure function of its arguments.

    Each process gets its share: those of all, by rank, are the batch of one process.

    Args:
        config: how scenes are drawn.
        sources: what they are made of.
        seed: of scenes and noise.
        batch: scenes in a batch of all processes together, which must be able to share it evenly.
        steps: number of batches.
        degradation: of A, B and C.
        rank: number of this process, from 0.
        world: number of processes.
    """

    def __init__(
        self,
        config: SceneConfig,
        sources: Sources,
        seed: int,
        batch: int,
        steps: int,
        degradation: Degradation = CLEAN,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.config, self.sources = config, sources
        self.seed, self.batch, self.steps = seed, batch, steps
        self.degradation, self.rank, self.world = degradation, rank, world

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Triplets:
        counts = len(self.sources.pictures), len(self.sources.cutouts)
        part = batch_share(self.batch, self.rank, self.world, self.degradation, self.seed, step)
        indices = [step * self.batch + place for place in part.places]
        scenes = [draw_scene(self.config, *counts, self.seed, index) for index in indices]
        batch = render(scenes, self.config, self.sources)

        def between(n: int, scales: Sequence[float]) -> torch.Tensor:
            return render_path(scenes[n], self.config.size, self.sources, scales)

        return degrade(batch, self.degradation, self.seed, step, between, part)
