"""Data sets for training: scenes by index, and batches in a seeded random order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import cached_property
from typing import Protocol

import torch
from torch.utils.data import Dataset

from magkit.data.encode import decode, decode_frame, picture_names
from magkit.data.plan import Kind, Plan, digest, sample_indices
from magkit.data.store import Store
from magkit.errors import MagkitError, UsageError
from magkit.runtime.seeds import epoch_order, generator
from magkit.synth.triplets import CLEAN, Degradation, Part, Triplets, batch_share, degrade


class DataSet(Protocol):
    """Scenes with random access; it can be pickled.

    Attributes:
        kind: triplets, or single frames.
        shape: height and width of the frames in pixels.
        has_motion: whether `motion` and `moving` of its triplets are known; NaN otherwise.
        fingerprint: a hash of the content, wherever it is stored. A training is resumed only with
            the same one.
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


class SceneReader(Protocol):
    """Random access to the files of scenes in one format.

    Attributes:
        listed: a hash of the index of all scenes.
    """

    store: Store
    plan: Plan
    listed: str

    def read(self, index: int, names: Sequence[str]) -> Mapping[str, bytes]:
        """Return files of a scene; "json" is its record.

        Raises:
            MagkitError: one is missing, damaged or too long.
        """
        ...


class StoredScenes:
    """A data set whose pixels are stored, as a `DataSet`."""

    has_motion = True

    def __init__(self, reader: SceneReader) -> None:
        self._reader = reader
        plan = reader.plan
        self.kind = plan.kind
        self.shape = (plan.config.size, plan.config.size)
        self.count = plan.count

    def __len__(self) -> int:
        return self.count

    @cached_property
    def fingerprint(self) -> str:
        """Return a hash of the plan, the index, and a sample of pictures.

        Raises:
            MagkitError: a picture of the sample is missing or can't be read.
        """
        return digest(self._parts())

    def _parts(self) -> Iterator[tuple[str, bytes]]:
        reader = self._reader
        yield "plan", reader.plan.text().encode()
        yield "listed", reader.listed.encode()
        for index in sample_indices(self.count):
            with scene_errors(index, reader.store):
                found = reader.read(index, picture_names(reader.plan.kind))
            yield from ((f"{index}.{name}", content) for name, content in found.items())

    def triplets(self, indices: Sequence[int]) -> Triplets:
        """Return scenes as a batch; see `DataSet`."""
        require_triplets(self.kind, str(self._reader.store))
        return concatenate([self._triplet(index) for index in indices])

    def frames(self, indices: Sequence[int]) -> torch.Tensor:
        """Return frame A of scenes; see `DataSet`."""
        return torch.stack([self._frame(index) for index in indices])

    def _triplet(self, index: int) -> Triplets:
        check_index(index, self.count)
        with scene_errors(index, self._reader.store):
            found = self._reader.read(index, (*picture_names(self.kind), "json"))
            return decode(found, found["json"], self.shape)

    def _frame(self, index: int) -> torch.Tensor:
        check_index(index, self.count)
        with scene_errors(index, self._reader.store):
            return decode_frame(self._reader.read(index, ("a.png",))["a.png"], self.shape)


@contextmanager
def scene_errors(index: int, store: Store) -> Iterator[None]:
    """Add the scene to errors raised within."""
    try:
        yield
    except MagkitError as error:
        problem = f"scene {index} of {store} can't be used: {error.message}"
        raise MagkitError(problem, error.hint) from error


def require_triplets(kind: Kind, where: str) -> None:
    """Check that a data set holds triplets.

    Raises:
        UsageError: `kind` is "frames".
    """
    if kind == "frames":
        raise UsageError(f"{where} holds single frames", "gen-data --kind triplets makes triplets")


def check_index(index: int, count: int) -> None:
    """Raise IndexError unless 0 <= index < count."""
    if not 0 <= index < count:
        raise IndexError(index)


def concatenate(parts: Sequence[Triplets]) -> Triplets:
    """Concatenate batches."""
    tables = {f.name: [getattr(part, f.name) for part in parts] for f in fields(Triplets)}
    return Triplets(**{name: torch.cat(tensors) for name, tensors in tables.items()})


ORDER, CROP = 5, 6  # key prefixes of random draws


class StoredBatches(Dataset[Triplets]):
    """Batch `step` of a training: a pure function of its arguments.

    Every epoch has its own random order, and may end within a batch. Each process gets its share:
    those of all, by rank, are the batch of one process.

    Args:
        data: triplets.
        seed: of order, windows and noise.
        batch: scenes in a batch of all processes together, which must be able to share it evenly.
        steps: number of batches.
        size: side of the random crop of each scene, pixels.
        degradation: of A, B and C.
        rank: number of this process, from 0.
        world: number of processes.
    """

    def __init__(
        self,
        data: DataSet,
        seed: int,
        batch: int,
        steps: int,
        size: int,
        degradation: Degradation = CLEAN,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.data, self.seed, self.batch, self.steps = data, seed, batch, steps
        self.size, self.degradation, self.rank, self.world = size, degradation, rank, world

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Triplets:
        part = batch_share(self.batch, self.rank, self.world, self.degradation, self.seed, step)
        places = [step * self.batch + place for place in part.places]
        indices = [number for _, number in epoch_order(places, len(self.data), self.seed, ORDER)]
        scenes = _random_crop(
            self.data.triplets(indices), self.size, generator(self.seed, CROP, step), part
        )
        return degrade(scenes, self.degradation, self.seed, step, part=part)


def _random_crop(scenes: Triplets, size: int, draws: torch.Generator, part: Part) -> Triplets:
    """Return a random crop of size x size pixels of each scene."""
    height, width = scenes.a.shape[-2:]
    if (height, width) == (size, size):
        return scenes
    tops = torch.randint(height - size + 1, (part.count,), generator=draws).tolist()
    lefts = torch.randint(width - size + 1, (part.count,), generator=draws).tolist()
    corners = [(tops[place], lefts[place]) for place in part.places]

    def cut(maps: torch.Tensor) -> torch.Tensor:
        windows = zip(maps, corners, strict=True)
        return torch.stack([m[:, y : y + size, x : x + size] for m, (y, x) in windows])

    picture_names = [f.name for f in fields(Triplets) if f.name != "factor"]
    return Triplets(
        factor=scenes.factor, **{name: cut(getattr(scenes, name)) for name in picture_names}
    )
