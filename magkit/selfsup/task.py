"""The task of a pretraining: batches of views, the methods' losses, monitoring."""

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
from magkit.runtime.loader import load_batches
from magkit.selfsup.frame_source import FrameBatch, FrameBatches, FrameSource
from magkit.selfsup.model import PretrainModel
from magkit.selfsup.monitor import EncoderMonitor
from magkit.selfsup.recipe import Recipe, ViewConfig
from magkit.selfsup.views import draw_params, make_views
from magkit.training.run import Run

Pair = tuple[str, str]  # the roles of the frames that the first and the second view show
Views = dict[str, list[View]]  # two views for each branch


@dataclass(frozen=True, slots=True)
class ViewMaker:
    """Makes two views for each branch: a pure function of seed, epoch and index.

    Attributes:
        seed: of the training.
        config: augmentations and their ranges.
        pairs: by branch.
    """

    seed: int
    config: ViewConfig
    pairs: Mapping[str, Pair]

    @property
    def roles(self) -> tuple[str, ...]:
        """Return the roles of the frames that it needs."""
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
    """Batches of frames as views, in equal micro-batches: for worker processes.

    One thread makes the views, so that their bits don't depend on which process makes them.
    """

    def __init__(self, frames: FrameBatches, make: ViewMaker, count: int) -> None:
        self._frames, self._make, self._count = frames, make, count

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, step: int) -> list[Views]:
        with _one_thread():
            return [self._make(part) for part in self._frames[step].split(self._count)]


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


SAME_FRAME: Pair = ("a", "a")
# Frames of a scene that have the branch's feature in common.
SCENE_PAIRS: dict[str, Pair] = {"texture": ("a", "c"), "motion": ("b", "c")}


class FrameTask:
    """A `training.train.Task`: batches of views, and the losses of the model's methods.

    Args:
        source: where frames come from.
        recipe: all settings.
        branches: those of the encoder to train.
        device: where views are made.
        workers: processes that read frames.
        monitor: measures the encoder at intervals.
    """

    def __init__(
        self,
        source: FrameSource,
        recipe: Recipe,
        branches: Sequence[str],
        device: torch.device,
        workers: int,
        monitor: EncoderMonitor,
    ) -> None:
        self._source, self._recipe, self._device = source, recipe, device
        self._workers, self._monitor = workers, monitor
        pairs = {branch: _pair(branch, source, recipe) for branch in branches}
        self._make = ViewMaker(recipe.train.seed, recipe.views, pairs)

    def batches(self, start: int) -> Iterator[Sequence[Views]]:
        """Yield views of this process' micro-batches, from step `start` on.

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
        """Let methods update their momentum encoders."""
        cast("PretrainModel", model).before_step(step / self._recipe.train.steps)

    def after_step(self, model: nn.Module, step: int) -> None:
        """Let methods update their momentum encoders and queues."""
        cast("PretrainModel", model).after_step(step / self._recipe.train.steps)

    def losses(self, model: nn.Module, batch: Views) -> dict[str, torch.Tensor]:
        """Return the loss terms of all branches' methods."""
        terms = dict[str, torch.Tensor]()
        for branch, views in batch.items():
            found = cast("PretrainModel", model).losses(branch, views)
            terms.update({f"{branch}_{name}": term for name, term in found.items()})
        return terms

    def examples(self, count: int) -> Views:
        """Return the views of the source's first frames."""
        indices = list(range(count))
        frames = {role: self._source.frames(indices, role) for role in self._make.roles}
        numbers = torch.tensor(indices)
        return self._make(FrameBatch(frames, torch.zeros_like(numbers), numbers))

    def evaluate(self, run: Run, model: nn.Module, step: int) -> dict[str, float]:
        """Measure the encoder, and keep the best."""
        return self._monitor(run, cast("PretrainModel", model), step)


def _pair(branch: str, source: FrameSource, recipe: Recipe) -> Pair:
    pairs, scenes = recipe.frames.pairs, "c" in source.roles
    if pairs == "views" or (pairs == "auto" and (branch not in SCENE_PAIRS or not scenes)):
        return SAME_FRAME
    if branch not in SCENE_PAIRS:
        raise UsageError(f"pairs of scenes are for the branches texture and motion, not '{branch}'")
    if not scenes:
        raise UsageError(f"{source} are single frames: there are no scenes to take pairs of")
    return SCENE_PAIRS[branch]
