"""A data set without pixels: its plan alone, from which every scene is rendered again.

`dataset.json` says what the scenes are made of, with a hash of what the sources were found to
hold, and what the first scenes were drawn as: sources that have changed, or a magkit that draws
other scenes, are told rather than trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch

from magkit.data.dataset import check_index, refuse_frames
from magkit.data.mark import mark, sources_mark
from magkit.data.plan import Plan, drawn
from magkit.errors import MagkitError
from magkit.runtime.json_object import WRONG
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
            sources of its own origin, see `magkit.synth.origin`.

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
    except (OSError, *WRONG) as error:
        raise MagkitError(f"{where} does not say what its scenes are made of", hint) from error
    if changed:
        raise MagkitError(f"{where} can't be rendered again: {changed[0]}", hint)
    try:
        draws = drawn(plan.config, len(sources.pictures), len(sources.cutouts), plan.seed)
    except WRONG as error:
        raise MagkitError(f"{where} describes scenes that can't be drawn: {error}") from error
    if draws != plan.draws:
        hint = "render it with the version that made it, or make it anew"
        raise MagkitError(f"this magkit draws other scenes than those of {where}", hint)
    return RenderedScenes(plan, sources, where)
