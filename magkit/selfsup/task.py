"""Pretraining on frames, as `training.train` asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import nn

from magkit.errors import UsageError
from magkit.protocols import View
from magkit.runtime import ranks
from magkit.selfsup.draws import draw_views
from magkit.selfsup.frames.batches import FrameBatch, FrameBatches
from magkit.selfsup.frames.source import FrameSource
from magkit.selfsup.learner import Learner
from magkit.selfsup.recipe import Recipe
from magkit.selfsup.views import make_views
from magkit.selfsup.watch import Watch
from magkit.synth.stream import loader
from magkit.training.run import Run

ALONE = ("a", "a")  # two views of one frame
SCENES = {"texture": ("a", "c"), "motion": ("b", "c")}  # what frames of a scene have in common


class FrameTask:
    """Batches of frames, views of them, and the losses of a learner's methods.

    Args:
        source: where frames come from.
        recipe: all settings.
        branches: of the encoder, that are trained.
        device: where views are made.
        workers: processes that read frames.
        watch: looks at the encoder now and then.
    """

    def __init__(
        self,
        source: FrameSource,
        recipe: Recipe,
        branches: Sequence[str],
        device: torch.device,
        workers: int,
        watch: Watch,
    ) -> None:
        self._source, self._recipe, self._device = source, recipe, device
        self._workers, self._watch = workers, watch
        self.pairs = {branch: _pair(branch, source, recipe) for branch in branches}

    def batches(self, start: int) -> Iterator[Sequence[FrameBatch]]:
        """Yield this process' parts of the batches of steps `start` and on."""
        train, frames = self._recipe.train, self._recipe.frames
        roles = tuple(sorted({role for pair in self.pairs.values() for role in pair}))
        batches = FrameBatches(
            self._source,
            train.seed,
            frames.batch,
            train.steps,
            rank=ranks.rank(),
            world=ranks.world(),
            roles=roles,
        )
        for batch in loader(batches, start, self._workers):
            yield batch.to(self._device).split(train.accumulate)

    def before_step(self, model: nn.Module, step: int) -> None:
        """Let methods move their slow copies."""
        cast("Learner", model).before_step(step / self._recipe.train.steps)

    def after_step(self, model: nn.Module, step: int) -> None:
        """Let methods move their slow copies and fill their queues."""
        cast("Learner", model).after_step(step / self._recipe.train.steps)

    def losses(self, model: nn.Module, part: FrameBatch) -> dict[str, torch.Tensor]:
        """Return the terms of all branches' methods."""
        learner, terms = cast("Learner", model), dict[str, torch.Tensor]()
        for branch in self.pairs:
            found = learner.losses(branch, self.views(branch, part))
            terms.update({f"{branch}_{name}": term for name, term in found.items()})
        return terms

    def examples(self, count: int) -> dict[str, list[View]]:
        """Return the views of the source's first frames, by branch."""
        indices = list(range(count))
        frames = {
            role: self._source.frames(indices, role).to(self._device)
            for role in {role for pair in self.pairs.values() for role in pair}
        }
        part = FrameBatch(frames, torch.zeros(count, dtype=torch.long), torch.tensor(indices))
        return {branch: self.views(branch, part) for branch in self.pairs}

    def views(self, branch: str, part: FrameBatch) -> list[View]:
        """Return the two views that a branch is shown: a function of seed, epoch and index."""
        number = list(self.pairs).index(branch)
        with torch.autocast(self._device.type, enabled=False), torch.no_grad():
            return [self._view(part, role, number, which) for which, role in self._seen(branch)]

    def _seen(self, branch: str) -> list[tuple[int, str]]:
        return list(enumerate(self.pairs[branch]))

    def _view(self, part: FrameBatch, role: str, branch: int, which: int) -> View:
        seed, config = self._recipe.train.seed, self._recipe.views
        draws = draw_views(seed, part.epochs_N, part.indices_N, branch, which).to(self._device)
        return make_views(part.frames[role], draws, config, which)

    def observe(self, run: Run, model: nn.Module, step: int) -> dict[str, float]:
        """Measure the encoder, and keep the best."""
        return self._watch(run, cast("Learner", model), step)


def _pair(branch: str, source: FrameSource, recipe: Recipe) -> tuple[str, str]:
    asked = recipe.frames.pairs
    if asked == "views" or (asked == "auto" and (branch not in SCENES or "c" not in source.roles)):
        return ALONE
    if branch not in SCENES:
        raise UsageError(f"pairs of scenes are for the branches texture and motion, not '{branch}'")
    if "c" not in source.roles:
        raise UsageError(f"{source} are single frames: there are no scenes to take pairs of")
    return SCENES[branch]
