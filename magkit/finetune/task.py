"""The task of a finetuning: scenes of a data set or rendered ones, losses, sample pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import nn

from magkit.data.dataset import DataSet, StoredBatches
from magkit.data.plan import sources_digest
from magkit.errors import UsageError
from magkit.finetune.recipe import Recipe
from magkit.runtime.loader import load_batches
from magkit.runtime.seeds import derived_seed
from magkit.specs import MagnifierSpec
from magkit.synth.build import describe
from magkit.synth.render import Sources
from magkit.synth.stream import Batches, SceneBatches
from magkit.synth.triplets import Triplets
from magkit.training.run import Run
from magkit.video.tiles import join_pictures, save_png

EXAMPLES = 2  # first part of the key of the seed of scenes in sample pictures


class TrainData(Protocol):
    """A source of batches of scenes."""

    def batches(self, recipe: Recipe) -> Batches:
        """Return all batches of a training."""
        ...

    def examples(self, recipe: Recipe, count: int) -> Batches:
        """Return batches of one scene each without noise, for sample pictures."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return a JSON object that differs where scenes do."""
        ...

    def __str__(self) -> str: ...


class SyntheticData:
    """Scenes drawn by the recipe and rendered from sources, without end."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def __str__(self) -> str:
        return f"{len(self._sources.pictures)} pictures and {len(self._sources.cutouts)} objects"

    def batches(self, recipe: Recipe) -> Batches:
        """Return all batches of a training."""
        train, batch = recipe.train, recipe.batches.batch
        return SceneBatches(
            recipe.scenes, self._sources, train.seed, batch, train.steps, recipe.degradation
        )

    def examples(self, recipe: Recipe, count: int) -> Batches:
        """Return scenes outside of the training, of kinds in which something moves."""
        moving = tuple(kind for kind in recipe.scenes.kinds if kind != "static")
        scenes = replace(recipe.scenes, kinds=moving or recipe.scenes.kinds)
        seed = derived_seed(recipe.train.seed, EXAMPLES)
        return SceneBatches(scenes, self._sources, seed, 1, count)

    def describe(self) -> dict[str, Any]:
        """Describe the sources, with a hash of a sample of their files."""
        sample = sources_digest(self._sources)
        return {**describe(self._sources), **({"sample": sample} if sample else {})}


class DataSetData:
    """The scenes of a data set, or windows of them.

    Raises:
        UsageError: they are too small, single frames, or lack the motion that the losses need.
    """

    def __init__(self, data: DataSet, where: str, spec: MagnifierSpec[Any], recipe: Recipe) -> None:
        self._data, self._where = data, where
        if data.kind != "triplets":
            raise UsageError(f"{where} holds single frames", "a magnifier learns from triplets")
        if spec.needs_motion and not data.has_motion:
            raise UsageError(
                f"{where} has no motion maps, which '{spec.name}' learns from",
                "data sets of magkit gen-data have; --magnifier magnet needs none",
            )
        if min(data.shape) < recipe.scenes.size:
            found = f"{data.shape[1]}x{data.shape[0]}"
            problem = f"the scenes of {where} have {found} pixels, less than {recipe.scenes.size}"
            raise UsageError(problem, "--size is the side of the window that is trained on")

    def __str__(self) -> str:
        return f"{len(self._data)} scenes of {self._where}"

    def batches(self, recipe: Recipe) -> Batches:
        """Return all batches of a training."""
        train, batch, size = recipe.train, recipe.batches.batch, recipe.scenes.size
        return StoredBatches(self._data, train.seed, batch, train.steps, size, recipe.degradation)

    def examples(self, recipe: Recipe, count: int) -> Batches:
        """Return windows of scenes of the data set, always the same."""
        seed = derived_seed(recipe.train.seed, EXAMPLES)
        return StoredBatches(self._data, seed, 1, count, recipe.scenes.size)

    def describe(self) -> dict[str, Any]:
        """Return number and fingerprint of the scenes, which don't depend on their place."""
        return {"scenes": len(self._data), "fingerprint": self._data.fingerprint}


SHOWN = 4  # scenes in a sample picture
ERROR_GAIN = 4.0  # amplification of errors in it


class SceneTask:
    """A `training.train.Task`: batches of scenes, a magnifier's losses, sample pictures."""

    def __init__(
        self,
        spec: MagnifierSpec[Any],
        recipe: Recipe,
        data: TrainData,
        device: torch.device,
        workers: int,
    ) -> None:
        self._spec, self._recipe, self._data = spec, recipe, data
        self._device, self._workers = device, workers

    def batches(self, start: int) -> Iterator[Sequence[Triplets]]:
        """Yield degraded batches from step `start` on, on the device, in equal micro-batches."""
        for batch in load_batches(self._data.batches(self._recipe), start, self._workers):
            yield batch.to(self._device).split(self._recipe.train.accumulate)

    def before_step(self, model: nn.Module, step: int) -> None:
        """Do nothing."""

    def losses(self, model: nn.Module, batch: Triplets) -> dict[str, torch.Tensor]:
        """Return the magnifier's own loss terms."""
        if self._spec.losses is None:
            raise UsageError(f"the magnifier '{self._spec.name}' has no losses to be trained with")
        return self._spec.losses(model, batch)

    def after_step(self, model: nn.Module, step: int) -> None:
        """Do nothing."""

    def evaluate(self, run: Run, model: nn.Module, step: int) -> dict[str, float]:
        """Save the model's output for four fixed scenes."""
        save_png(run.samples / f"step-{step:06d}.png", self.picture(model))
        return {}

    def picture(self, model: Any) -> torch.Tensor:
        """Draw a row for each of four scenes: A, B, the output, the truth, four times the error."""
        rows, examples = [], self._data.examples(self._recipe, SHOWN)
        for index in range(SHOWN):
            scene = examples[index].to(self._device)
            before, after = model.encode(scene.a), model.encode(scene.b)
            output = model.render(after, model.motion(before, after), scene.factor).clamp(0, 1)
            error = ((output - scene.m).abs() * ERROR_GAIN).clamp(0, 1)
            rows.append(join_pictures([scene.a, scene.b, output, scene.m, error], 3)[0])
        return join_pictures(rows, 1)
