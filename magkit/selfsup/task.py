"""Pretraining on frames, as `training.train` asks for it: batches of views and a step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.utils.data import Dataset

from magkit.errors import UsageError
from magkit.protocols import View
from magkit.runtime import distributed
from magkit.selfsup.frame_source import FrameBatch, FrameBatches, FrameSource
from magkit.selfsup.learner import Learner
from magkit.selfsup.monitor import Monitor
from magkit.selfsup.recipe import Recipe, ViewConfig
from magkit.selfsup.views import draw_params, make_views
from magkit.synth.stream import load_batches
from magkit.training.run import Run

Pair = tuple[str, str]  # the roles of the frames that the first and the second view show
Views = dict[str, list[View]]  # two views for each branch


@dataclass(frozen=True, slots=True)
class ViewMaker:
    """Makes the two views that each branch is shown: a function of seed, epoch and index.

    Attributes:
        seed: of the training.
        config: kinds and ranges of the changes.
        pairs: by branch.
    """

    seed: int
    config: ViewConfig
    pairs: Mapping[str, Pair]

    @property
    def roles(self) -> tuple[str, ...]:
        """Return the roles of the frames that are wanted."""
        return tuple(sorted({role for pair in self.pairs.values() for role in pair}))

    def __call__(self, batch: FrameBatch) -> Views:
        """Return views of a batch, on its device."""
        return {
            branch: [self._view(batch, role, number, which) for which, role in enumerate(pair)]
            for number, (branch, pair) in enumerate(self.pairs.items())
        }

    def _view(self, batch: FrameBatch, role: str, branch: int, which: int) -> View:
        draws = draw_params(self.seed, batch.epochs_N, batch.indices_N, branch, which)
        return make_views(batch.frames[role], draws, self.config, which)


class ViewBatches(Dataset[list[Views]]):
    """Batches of frames as views, in equal parts: for the processes that read frames.

    Views are made by one thread, so that their bits don't depend on which process makes them.
    """

    def __init__(self, frames: FrameBatches, make: ViewMaker, parts: int) -> None:
        self._frames, self._make, self._parts = frames, make, parts

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, step: int) -> list[Views]:
        with _one_thread():
            return [self._make(part) for part in self._frames[step].split(self._parts)]


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
        watch: Monitor,
    ) -> None:
        self._source, self._recipe, self._device = source, recipe, device
        self._workers, self._watch = workers, watch
        pairs = {branch: _pair(branch, source, recipe) for branch in branches}
        self._make = ViewMaker(recipe.train.seed, recipe.views, pairs)

    def batches(self, start: int) -> Iterator[Sequence[Views]]:
        """Yield views of this process' parts of the batches of steps `start` and on.

        On a CPU the processes that read frames make the views; elsewhere the device does.
        """
        train, workers = self._recipe.train, self._workers
        frames = FrameBatches(
            self._source,
            train.seed,
            self._recipe.frames.batch,
            train.steps,
            rank=distributed.rank(),
            world=distributed.world_size(),
            roles=self._make.roles,
        )
        if self._device.type == "cpu":
            yield from load_batches(
                ViewBatches(frames, self._make, train.accumulate), start, workers
            )
            return
        for batch in load_batches(frames, start, workers):
            yield [self._make(part) for part in batch.to(self._device).split(train.accumulate)]

    def before_step(self, model: nn.Module, step: int) -> None:
        """Let methods move their slow copies."""
        cast("Learner", model).before_step(step / self._recipe.train.steps)

    def after_step(self, model: nn.Module, step: int) -> None:
        """Let methods move their slow copies and fill their queues."""
        cast("Learner", model).after_step(step / self._recipe.train.steps)

    def losses(self, model: nn.Module, part: Views) -> dict[str, torch.Tensor]:
        """Return the terms of all branches' methods."""
        learner, terms = cast("Learner", model), dict[str, torch.Tensor]()
        for branch, views in part.items():
            found = learner.losses(branch, views)
            terms.update({f"{branch}_{name}": term for name, term in found.items()})
        return terms

    def examples(self, count: int) -> Views:
        """Return the views of the source's first frames."""
        indices = list(range(count))
        frames = {role: self._source.frames(indices, role) for role in self._make.roles}
        numbers = torch.tensor(indices)
        return self._make(FrameBatch(frames, torch.zeros_like(numbers), numbers))

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
