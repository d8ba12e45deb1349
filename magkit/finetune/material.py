"""What a training is fed with: scenes rendered as they are needed, or a data set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from magkit.data.batches import StoredBatches
from magkit.data.dataset import DataSet
from magkit.data.mark import sources_mark
from magkit.errors import UsageError
from magkit.finetune.recipe import Recipe
from magkit.runtime.seeds import derived_seed
from magkit.specs import MagnifierSpec
from magkit.synth.build import describe
from magkit.synth.render import Sources
from magkit.synth.stream import Batches, SceneBatches

EXAMPLES = 2  # first part of the key of the seed of scenes that are only looked at


class Material(Protocol):
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


class Rendered:
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
        sample = sources_mark(self._sources)
        return {**describe(self._sources), **({"sample": sample} if sample else {})}


class Stored:
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
