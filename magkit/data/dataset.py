"""Data sets as training asks for them: scenes by number, batches in an order set by a seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import cached_property
from typing import Protocol

import torch
from torch.utils.data import Dataset

from magkit.data.encode import decode, decode_frame, names
from magkit.data.plan import Kind, Plan, mark, sampled
from magkit.data.store import Store
from magkit.errors import MagkitError, UsageError
from magkit.runtime.seeds import epoch_order, generator
from magkit.synth.triplets import CLEAN, Degradation, Triplets, degraded


class DataSet(Protocol):
    """Numbered scenes, read in any order; it can be handed to other processes.

    Attributes:
        kind: triplets, or single frames.
        shape: height and width of the frames in pixels.
        has_motion: whether `motion` and `moving` of its triplets are known; NaN otherwise.
        fingerprint: a hash that tells data sets apart, wherever they stand. A training that was
            stopped goes on only where it is the same.
    """

    @property
    def kind(self) -> Kind: ...
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def has_motion(self) -> bool: ...
    @property
    def fingerprint(self) -> str: ...

    def __len__(self) -> int: ...

    def triplets(self, indices: Sequence[int]) -> Triplets:
        """Return scenes as a batch.

        Raises:
            UsageError: the data set is one of single frames.
            MagkitError: a scene is damaged or missing; the message names it.
        """
        ...

    def frames(self, indices: Sequence[int]) -> torch.Tensor:
        """Return frame A of scenes, float RGB (N, 3, H, W) in [0, 1].

        Raises:
            MagkitError: as `triplets`.
        """
        ...


class Members(Protocol):
    """How a format finds what belongs to a scene.

    Attributes:
        listed: a hash of what is said of all scenes.
    """

    store: Store
    plan: Plan
    listed: str

    def read(self, index: int, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return files of a scene; "json" is what is said about it.

        Raises:
            MagkitError: one is missing, damaged, or longer than it can be.
        """
        ...


class StoredScenes:
    """A data set whose pixels are stored, as a `DataSet`."""

    has_motion = True

    def __init__(self, members: Members) -> None:
        self._members = members
        plan = members.plan
        self.kind = plan.kind
        self.shape = (plan.config.size, plan.config.size)
        self.count = plan.count

    def __len__(self) -> int:
        return self.count

    @cached_property
    def fingerprint(self) -> str:
        """Return a hash of the plan, of what is said of all scenes, and of a sample of pictures.

        Raises:
            MagkitError: a picture of the sample is missing or can't be read.
        """
        return mark(self._parts())

    def _parts(self) -> Iterator[tuple[str, bytes]]:
        members = self._members
        yield "plan", members.plan.text().encode()
        yield "listed", members.listed.encode()
        for index in sampled(self.count):
            with naming(index, members.store):
                found = members.read(index, names(members.plan.kind))
            yield from ((f"{index}.{name}", content) for name, content in found.items())

    def triplets(self, indices: Sequence[int]) -> Triplets:
        """Return scenes as a batch; see `DataSet`."""
        refuse_frames(self.kind, str(self._members.store))
        return joined([self._triplet(index) for index in indices])

    def frames(self, indices: Sequence[int]) -> torch.Tensor:
        """Return frame A of scenes; see `DataSet`."""
        return torch.stack([self._frame(index) for index in indices])

    def _triplet(self, index: int) -> Triplets:
        check_index(index, self.count)
        with naming(index, self._members.store):
            found = self._members.read(index, (*names(self.kind), "json"))
            return decode(found, found["json"], self.shape)

    def _frame(self, index: int) -> torch.Tensor:
        check_index(index, self.count)
        with naming(index, self._members.store):
            return decode_frame(self._members.read(index, ("a.png",))["a.png"], self.shape)


@contextmanager
def naming(index: int, store: Store) -> Iterator[None]:
    """Name the scene in errors raised within."""
    try:
        yield
    except MagkitError as error:
        problem = f"scene {index} of {store} can't be used: {error.message}"
        raise MagkitError(problem, error.hint) from error


def refuse_frames(kind: Kind, where: str) -> None:
    """Refuse to take single frames for triplets.

    Raises:
        UsageError: `kind` is "frames".
    """
    if kind == "frames":
        raise UsageError(f"{where} holds single frames", "gen-data --kind triplets makes triplets")


def check_index(index: int, count: int) -> None:
    """Raise IndexError unless 0 <= index < count."""
    if not 0 <= index < count:
        raise IndexError(index)


def joined(parts: Sequence[Triplets]) -> Triplets:
    """Return batches as one."""
    tables = {f.name: [getattr(part, f.name) for part in parts] for f in fields(Triplets)}
    return Triplets(**{name: torch.cat(tensors) for name, tensors in tables.items()})


ORDER, CROP = 5, 6  # first parts of the keys of an epoch's order and of a batch's windows


class StoredBatches(Dataset[Triplets]):
    """Batch `step` of a training: a pure function of its arguments.

    Scenes come in a new random order every epoch; an epoch may end within a batch.

    Args:
        data: triplets.
        seed: of order, windows and noise.
        batch: scenes in a batch.
        steps: number of batches.
        size: side in pixels of the window that is cut out of each scene at random.
        degradation: of A, B and C.
    """

    def __init__(
        self,
        data: DataSet,
        seed: int,
        batch: int,
        steps: int,
        size: int,
        degradation: Degradation = CLEAN,
    ) -> None:
        self.data, self.seed, self.batch, self.steps = data, seed, batch, steps
        self.size, self.degradation = size, degradation

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Triplets:
        places = range(step * self.batch, (step + 1) * self.batch)
        indices = [number for _, number in epoch_order(places, len(self.data), self.seed, ORDER)]
        scenes = _cut(self.data.triplets(indices), self.size, generator(self.seed, CROP, step))
        return degraded(scenes, self.degradation, self.seed, step)


def _cut(scenes: Triplets, size: int, draws: torch.Generator) -> Triplets:
    """Return a window of size x size pixels of each scene, each at its own place."""
    height, width = scenes.a.shape[-2:]
    if (height, width) == (size, size):
        return scenes
    tops = torch.randint(height - size + 1, (len(scenes.factor),), generator=draws)
    lefts = torch.randint(width - size + 1, (len(scenes.factor),), generator=draws)

    def cut(maps: torch.Tensor) -> torch.Tensor:
        windows = zip(maps, tops.tolist(), lefts.tolist(), strict=True)
        return torch.stack([m[:, y : y + size, x : x + size] for m, y, x in windows])

    names = [f.name for f in fields(Triplets) if f.name != "factor"]
    return Triplets(factor=scenes.factor, **{name: cut(getattr(scenes, name)) for name in names})
