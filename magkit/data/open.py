"""Data sets of any format, opened; those without pixels are rendered again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch

from magkit.data import plan as plans
from magkit.data import published
from magkit.data.dataset import DataSet, StoredScenes, check_index, refuse_frames
from magkit.data.folder import FolderMembers
from magkit.data.plan import Plan, drawn, mark, read_plan, sources_mark
from magkit.data.published import PublishedScenes
from magkit.data.shards import TarMembers
from magkit.data.store import Store
from magkit.errors import MagkitError
from magkit.runtime.text import MALFORMED
from magkit.synth.build import changes, rebuild
from magkit.synth.render import Sources, render
from magkit.synth.scene import draw_scene
from magkit.synth.triplets import Triplets


class RenderedScenes:
    """A plan's scenes, rendered as they are asked for, as a `DataSet`.

    Args:
        plan: what is rendered.
        sources: what the scenes are made of.
        where: how the data set is called in messages.
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
        """Return a hash of the plan, and of a sample of the files that scenes are made of.

        Raises:
            MagkitError: the files can't be read.
        """
        sample = sources_mark(self.sources)
        parts = [("plan", self.plan.text().encode()), ("sample", sample.encode())]
        return mark(parts) if sample else self.plan.fingerprint

    def triplets(self, indices: Sequence[int]) -> Triplets:
        """Return scenes as a batch; see `DataSet`."""
        refuse_frames(self.kind, self._where)
        return self._rendered(indices)

    def frames(self, indices: Sequence[int]) -> torch.Tensor:
        """Return frame A of scenes; see `DataSet`."""
        return self._rendered(indices).a

    def _rendered(self, indices: Sequence[int]) -> Triplets:
        counts = len(self.sources.pictures), len(self.sources.cutouts)
        for index in indices:
            check_index(index, len(self))
        scenes = [draw_scene(self.plan.config, *counts, self.plan.seed, i) for i in indices]
        return render(scenes, self.plan.config, self.sources)


def open_recipe(plan: Plan, where: str) -> RenderedScenes:
    """Find a recipe's sources again.

    Args:
        plan: the recipe.
        where: the place of its file. One that lies elsewhere than on this machine may name only
            sources of its own origin, see `magkit.synth.listing`.

    Raises:
        MagkitError: they are missing, hold something else or may not be named, or this magkit draws
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
        draws = drawn(plan.config, len(sources.pictures), len(sources.cutouts), plan.seed)
    except MALFORMED as error:
        raise MagkitError(f"{where} describes scenes that can't be drawn: {error}") from error
    if draws != plan.draws:
        hint = "render it with the version that made it, or make it anew"
        raise MagkitError(f"this magkit draws other scenes than those of {where}", hint)
    return RenderedScenes(plan, sources, where)


def open_dataset(location: str) -> DataSet:
    """Open a data set: a folder, tar files, a recipe, or the published layout.

    Args:
        location: the folder, local or a URL such as `gs://bucket/triplets`; a recipe's one file
            may be named as well.

    Raises:
        MagkitError: there is none, it is incomplete or damaged, or its sources have changed.
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
    plan = read_plan(store.read(file, plans.MOST_BYTES), store.path(file))
    if plan.format == "recipe":
        return open_recipe(plan, store.path(file))
    if plan.format == "published":
        return PublishedScenes(store)
    return StoredScenes((FolderMembers if plan.format == "folder" else TarMembers)(store, plan))
