"""Batches of scenes for training, rendered on demand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils.data import Dataset

from magkit.runtime.loader import BatchSequence
from magkit.synth.render import Sources, render, render_path
from magkit.synth.scene import SceneConfig, draw_scene
from magkit.synth.triplets import CLEAN, Degradation, Triplets, degrade

Batches = BatchSequence[Triplets]


class SceneBatches(Dataset[Triplets]):
    """Batch `step` holds scenes `step * batch` and on: a pure function of its arguments.

    Args:
        config: how scenes are drawn.
        sources: what they are made of.
        seed: of scenes and noise.
        batch: scenes in a batch.
        steps: number of batches.
        degradation: of A, B and C.
    """

    def __init__(
        self,
        config: SceneConfig,
        sources: Sources,
        seed: int,
        batch: int,
        steps: int,
        degradation: Degradation = CLEAN,
    ) -> None:
        self.config, self.sources = config, sources
        self.seed, self.batch, self.steps = seed, batch, steps
        self.degradation = degradation

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Triplets:
        counts = len(self.sources.pictures), len(self.sources.cutouts)
        indices = range(step * self.batch, (step + 1) * self.batch)
        scenes = [draw_scene(self.config, *counts, self.seed, index) for index in indices]
        batch = render(scenes, self.config, self.sources)

        def between(n: int, scales: Sequence[float]) -> torch.Tensor:
            return render_path(scenes[n], self.config.size, self.sources, scales)

        return degrade(batch, self.degradation, self.seed, step, between)
