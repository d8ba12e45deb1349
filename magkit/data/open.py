"""Data sets of any format, opened; a recipe's scenes are rendered on demand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch

from magkit.data import plan as plans
from magkit.data import published
from magkit.data.dataset import DataSet, StoredScenes, check_index, require_triplets
from magkit.data.layouts import FolderReader, TarReader
from magkit.data.plan import Plan, digest, draw_digest, read_plan, sources_digest
from magkit.data.published import PublishedScenes
from magkit.data.store import Store
from magkit.errors import MagkitError
from magkit.runtime.text import MALFORMED
from magkit.synth.build import changes, rebuild
from magkit.synth.render import Sources, render
from magkit.synth.scene import draw_scene
from magkit.synth.triplets import Triplets


class RenderedScenes:
    """A plan's scenes, rendered on demand, as a `DataSet`.

    Args:
        plan: the scenes.
        sources: of pictures and objects.
        where: the data set's name in messages.
    """

    has_motion = True

    def __init__(self, plan: Plan, sources: Sources, where: str) -> None:
        self.plan, self.sources, self._where = plan, sources, where
        self.kind = plan.kind
        self.shape = (plan.config.size, plan.config.size)

    def __len__(self) -> int:
        return self.plan.count

    @cached_property
    def fingerprint(self) -> str:
        """Return a hash of the plan and of a sample of source files.

        Raises:
            MagkitError: the files can't be read.
        """
        sample = sources_digest(self.sources)
        parts = [("plan", self.plan.text().encode()), ("sample", sample.encode())]
        return digest(parts) if sample else self.plan.fingerprint

    def triplets(self, indices: Sequence[int]) -> Triplets:
        """Return scenes as a batch; see `DataSet`."""
        require_triplets(self.kind, self._where)
        return self._render(indices)

    def frames(self, indices: Sequence[int]) -> torch.Tensor:
        """Return frame A of scenes; see `DataSet`."""
        return self._render(indices).a

    def _render(self, indices: Sequence[int]) -> Triplets:
        counts = len(self.sources.pictures), len(self.sources.cutouts)
        for index in indices:
            check_index(index, len(self))
        scenes = [draw_scene(self.plan.config, *counts, self.plan.seed, i) for i in indices]
        return render(scenes, self.plan.config, self.sources)


def open_recipe(plan: Plan, where: str) -> RenderedScenes:
    """Open a recipe.

    Args:
        plan: the recipe.
        where: the location of its file. A remote one may name only sources of its own origin, see
            `magkit.synth.listing`.

    Raises:
        MagkitError: sources are missing, have changed or are not permitted, or this magkit draws
            other scenes.
    """
    hint = f"{where} says under 'sources' where they were"
    try:
        sources = rebuild(plan.sources, where)
        changed = changes(plan.sources, sources)
    except MagkitError as error:
        text = f"the sources of {where} can't be used: {error.message}"
        raise MagkitError(text, error.hint or hint) from error
    except (OSError, *MALFORMED) as error:
        raise MagkitError(f"{where} does not say what its scenes are made of", hint) from error
    if changed:
        raise MagkitError(f"{where} can't be rendered again: {changed[0]}", hint)
    try:
        draws = draw_digest(plan.config, len(sources.pictures), len(sources.cutouts), plan.seed)
    except MALFORMED as error:
        raise MagkitError(f"{where} describes scenes that can't be drawn: {error}") from error
    if draws != plan.draws:
        hint = "render it with the version that made it, or make it anew"
        raise MagkitError(f"this magkit draws other scenes than those of {where}", hint)
    return RenderedScenes(plan, sources, where)


def open_dataset(location: str) -> DataSet:
    """Open a data set: a folder, tar files, a recipe, or the published layout.

    Args:
        location: the folder, a path or a URL such as `gs://bucket/triplets`, or a recipe's file.

    Raises:
        MagkitError: it is missing, incomplete or damaged, or its sources have changed.
    """
    place, slash, name = location.rpartition("/")
    if name.endswith(".json"):
        store, file = Store(place if slash else "."), name
    else:
        store, file = Store(location), plans.FILE
    if not store.has(file):
        if store.has(published.ALPHAS):
            return PublishedScenes(store)
        hint = f"magkit gen-data writes one; others hold {published.ALPHAS}"
        raise MagkitError(f"{location} is no data set: it has no {file}", hint)
    plan = read_plan(store.read(file, plans.MAX_BYTES), store.path(file))
    if plan.format == "recipe":
        return open_recipe(plan, store.path(file))
    if plan.format == "published":
        return PublishedScenes(store)
    return StoredScenes((FolderReader if plan.format == "folder" else TarReader)(store, plan))
