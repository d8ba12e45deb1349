"""Supervised training on scenes, as `training.train` asks for it, and its training data."""

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
from magkit.runtime.seeds import derived_seed
from magkit.specs import MagnifierSpec
from magkit.synth.build import describe
from magkit.synth.render import Sources
from magkit.synth.stream import Batches, SceneBatches, load_batches
from magkit.synth.triplets import Triplets
from magkit.training.run import Run
from magkit.training.train import write_picture

EXAMPLES = 2  # first part of the key of the seed of scenes that are only looked at


class TrainData(Protocol):
    """Where batches come from."""

    def batches(self, recipe: Recipe) -> Batches:
        """Return all batches of a training."""
        ...

    def examples(self, recipe: Recipe, count: int) -> Batches:
        """Return batches of one scene each, to look at, without noise."""
        ...

    def described(self) -> dict[str, Any]:
        """Return a JSON object that differs where scenes do."""
        ...

    def __str__(self) -> str: ...


class RenderedData:
    """Scenes without end, drawn by the recipe and made of sources."""

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
        """Return scenes that are not trained on, of kinds in which something moves."""
        moving = tuple(kind for kind in recipe.scenes.kinds if kind != "static")
        scenes = replace(recipe.scenes, kinds=moving or recipe.scenes.kinds)
        seed = derived_seed(recipe.train.seed, EXAMPLES)
        return SceneBatches(scenes, self._sources, seed, 1, count)

    def described(self) -> dict[str, Any]:
        """Return what the sources are made of, and a hash of a sample of their files."""
        sample = sources_digest(self._sources)
        return {**describe(self._sources), **({"sample": sample} if sample else {})}


class StoredData:
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
                f"{where} says nothing of the motion in it, which '{spec.name}' learns from",
                "data that magkit gen-data wrote do; --magnifier magnet needs no motion",
            )
        if min(data.shape) < recipe.scenes.size:
            found = f"{data.shape[1]}x{data.shape[0]}"
            problem = f"the scenes of {where} have {found} pixels, less than {recipe.scenes.size}"
            raise UsageError(problem, "--size says which part of a scene is trained on")

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

    def described(self) -> dict[str, Any]:
        """Return what tells data sets apart, wherever they stand."""
        return {"scenes": len(self._data), "fingerprint": self._data.fingerprint}


SHOWN = 4  # scenes in a sample picture
GAP = 2  # pixels between the parts of a sample picture
ERROR_GAIN = 4.0  # errors are shown so many times as large


class SceneTask:
    """Batches of scenes for a magnifier, its losses, and what it makes of four fixed scenes."""

    def __init__(
        self,
        spec: MagnifierSpec[Any],
        recipe: Recipe,
        material: TrainData,
        device: torch.device,
        workers: int,
    ) -> None:
        self._spec, self._recipe, self._material = spec, recipe, material
        self._device, self._workers = device, workers

    def batches(self, start: int) -> Iterator[Sequence[Triplets]]:
        """Yield the batches of steps `start` and on, degraded, on the device, in equal parts."""
        for batch in load_batches(self._material.batches(self._recipe), start, self._workers):
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

    def observe(self, run: Run, model: nn.Module, step: int) -> dict[str, float]:
        """Draw what the model makes of four fixed scenes."""
        write_picture(run.samples / f"step-{step:06d}.png", self.picture(model))
        return {}

    def picture(self, model: Any) -> torch.Tensor:
        """Draw a row for each of four scenes: A, B, the output, the truth, four times the error."""
        rows, examples = [], self._material.examples(self._recipe, SHOWN)
        for index in range(SHOWN):
            shown = examples[index].to(self._device)
            before, after = model.encode(shown.a), model.encode(shown.b)
            made = model.render(after, model.motion(before, after), shown.factor).clamp(0, 1)
            error = ((made - shown.m).abs() * ERROR_GAIN).clamp(0, 1)
            rows.append(_joined([shown.a, shown.b, made, shown.m, error], 3)[0])
        return _joined(rows, 1)


def _joined(parts: list[torch.Tensor], axis: int) -> torch.Tensor:
    """Join pictures along an axis, white between them."""
    gap = parts[0].new_ones(*(GAP if n == axis else s for n, s in enumerate(parts[0].shape)))
    spaced = [piece for part in parts for piece in (gap, part)][1:]
    return torch.cat(spaced, axis)
