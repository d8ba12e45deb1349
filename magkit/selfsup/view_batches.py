"""Batches of views: what a method is shown, made of batches of frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.utils.data import Dataset

from magkit.protocols import View
from magkit.selfsup.draws import draw_views
from magkit.selfsup.frames.batches import FrameBatch, FrameBatches
from magkit.selfsup.view_config import ViewConfig
from magkit.selfsup.views import make_views

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
        draws = draw_views(self.seed, batch.epochs_N, batch.indices_N, branch, which)
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
