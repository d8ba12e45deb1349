"""The finetuning task: stored or rendered scenes, losses, sample pictures."""

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
from magkit.runtime import distributed
from magkit.runtime.loader import load_batches
from magkit.runtime.seeds import derived_seed
from magkit.specs import MagnifierSpec
from magkit.synth.build import describe
from magkit.synth.render import Sources
from magkit.synth.stream import Batches, SceneBatches
from magkit.synth.triplets import Triplets
from magkit.training.run import Run
from magkit.video.tiles import join_pictures, save_png

EXAMPLES = 2  # first part of the seed key of the scenes in sample pictures


class TrainData(Protocol):
    """A source of batches of scenes."""

    def batches(self, recipe: Recipe) -> Batches:
        """Return this process' shares of all batches of a training."""
        ...

    def examples(self, recipe: Recipe, count: int) -> Batches:
        """Return batches of one noise-free scene each, for sample pictures."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return a JSON object that identifies the scenes."""
        ...

    def __str__(self) -> str: ...


class SyntheticData:
    """An unlimited supply of scenes, drawn by the recipe and rendered from sources."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def __str__(self) -> str:
        return f"{len(self._sources.pictures)} pictures and {len(self._sources.cutouts)} objects"

    def batches(self, recipe: Recipe) -> Batches:
        """Return this process' shares of all batches of a training."""
        return SceneBatches(
            recipe.scenes,
            self._sources,
            recipe.train.seed,
            recipe.batches.batch,
            recipe.train.steps,
            recipe.degradation,
            distributed.rank(),
            distributed.world_size(),
        )

    def examples(self, recipe: Recipe, count: int) -> Batches:
        """Return scenes that training does not use, of the kinds with motion."""
        moving = tuple(kind for kind in recipe.scenes.kinds if kind != "static")
        scenes = replace(recipe.scenes, kinds=moving or recipe.scenes.kinds)
        seed = derived_seed(recipe.train.seed, EXAMPLES)
        return SceneBatches(scenes, self._sources, seed, 1, count)

    def describe(self) -> dict[str, Any]:
        """Describe the sources, with a hash of a sample of their files."""
        sample = sources_digest(self._sources)
        return {**describe(self._sources), **({"sample": sample} if sample else {})}


class StoredData:
    """The scenes of a data set, or crops of them.

    Raises:
        UsageError: the scenes are too small, are single frames, or lack the motion maps that the
            losses need.
    """

    def __init__(self, data: DataSet, where: str, spec: MagnifierSpec[Any], recipe: Recipe) -> None:
        self._data, self._where = data, where
        if data.kind != "triplets":
            raise UsageError(f"{where} holds single frames", "a magnifier is trained on triplets")
        if spec.needs_motion and not data.has_motion:
            raise UsageError(
                f"{where} has no motion maps, which the losses of '{spec.name}' need",
                "data sets of magkit gen-data have them; --magnifier magnet needs none",
            )
        if min(data.shape) < recipe.scenes.size:
            found = f"{data.shape[1]}x{data.shape[0]}"
            problem = f"the scenes of {where} have {found} pixels, less than {recipe.scenes.size}"
            raise UsageError(problem, "--size sets the side of the crops")

    def __str__(self) -> str:
        return f"{len(self._data)} scenes of {self._where}"

    def batches(self, recipe: Recipe) -> Batches:
        """Return this process' shares of all batches of a training."""
        return StoredBatches(
            self._data,
            recipe.train.seed,
            recipe.batches.batch,
            recipe.train.steps,
            recipe.scenes.size,
            recipe.degradation,
            distributed.rank(),
            distributed.world_size(),
        )

    def examples(self, recipe: Recipe, count: int) -> Batches:
        """Return fixed crops of scenes of the data set."""
        seed = derived_seed(recipe.train.seed, EXAMPLES)
        return StoredBatches(self._data, seed, 1, count, recipe.scenes.size)

    def describe(self) -> dict[str, Any]:
        """Return the number and fingerprint of the scenes, independent of their location."""
        return {"scenes": len(self._data), "fingerprint": self._data.fingerprint}


SAMPLE_SCENES = 4  # scenes in a sample picture
ERROR_GAIN = 4.0  # amplification of its error column


class SceneTask:
    """The `training.train.Task` of finetuning: batches, losses, sample pictures."""

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
        """Yield this process' micro-batches of degraded scenes on the device, from step `start`."""
        for batch in load_batches(self._data.batches(self._recipe), start, self._workers):
            yield batch.to(self._device).split(self._recipe.train.accumulate)

    def before_step(self, model: nn.Module, step: int) -> None:
        """Do nothing."""

    def losses(self, model: nn.Module, batch: Triplets) -> dict[str, torch.Tensor]:
        """Return the loss terms that the magnifier defines."""
        if self._spec.losses is None:
            raise UsageError(f"the magnifier '{self._spec.name}' has no training losses")
        return self._spec.losses(model, batch)

    def after_step(self, model: nn.Module, step: int) -> None:
        """Do nothing."""

    def evaluate(self, run: Run, model: nn.Module, step: int) -> dict[str, float]:
        """Save a sample picture of the model's output for fixed scenes."""
        save_png(run.samples / f"step-{step:06d}.png", self.sample_picture(model))
        return {}

    def sample_picture(self, model: Any) -> torch.Tensor:
        """Draw a row per scene: A, B, the output, the ground truth, and the amplified error."""
        rows, examples = [], self._data.examples(self._recipe, SAMPLE_SCENES)
        for index in range(SAMPLE_SCENES):
            scene = examples[index].to(self._device)
            before, after = model.encode(scene.a), model.encode(scene.b)
            output = model.render(after, model.motion(before, after), scene.factor).clamp(0, 1)
            error = ((output - scene.m).abs() * ERROR_GAIN).clamp(0, 1)
            rows.append(join_pictures([scene.a, scene.b, output, scene.m, error], 3)[0])
        return join_pictures(rows, 1)
