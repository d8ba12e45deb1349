"""The layout in which the training data of Oh et al. (ECCV 2018) were published.

    frameA/000000.png   frameB/   frameC/   amplified/   train_mf.txt

Pictures are numbered from 0. `frameC` is `frameB` without its change of colour, and
`amplified` is coloured like `frameB`. Line n of `train_mf.txt` is the alpha of picture n. The paper
(equation 2) magnifies to (1 + alpha) times the displacement: alpha is magkit's factor less one,
and this file is where one becomes the other.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from magkit.data.dataset import check_index, joined, naming
from magkit.data.encode import Stored, decode_frame, frame_shape, most_bytes
from magkit.data.plan import MOST_PIXELS, Kind, Plan, mark, sampled
from magkit.data.store import Store
from magkit.errors import MagkitError
from magkit.synth.triplets import Triplets

ALPHAS = "train_mf.txt"
FOLDERS = {"a": "frameA", "b": "frameB", "c": "frameC", "m": "amplified"}
UNIT = 1  # scenes that are written in one go
MOST_TEXT = 256 << 20  # bytes of the list of alphas


def alpha(factor: float) -> float:
    """Return the alpha of the paper for a factor."""
    return factor - 1


def factor(alpha: float) -> float:
    """Return the factor for an alpha of the paper."""
    return alpha + 1


def write_unit(folder: Path, _plan: Plan, _unit: int, scenes: Iterable[Stored]) -> list[Any]:
    """Write scenes, and return what is said about them."""
    lines = []
    for scene in scenes:
        for name, data in scene.files.items():
            place = folder / FOLDERS[name.removesuffix(".png")] / f"{scene.line['index']:06}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        lines.append(dict(scene.line))
    return lines


def finish(folder: Path, _plan: Plan, units: Iterable[list[Any]]) -> None:
    """Write the alphas of what `write_unit` returned, in order."""
    with (folder / ALPHAS).open("w", encoding="ascii", newline="\n") as file:
        for lines in units:
            file.writelines(f"{alpha(line['factor'])!r}\n" for line in lines)


class PublishedScenes:
    """A data set in this layout, whoever made it, as a `DataSet`: its motion is not known.

    Where there are as many pictures as alphas they belong together in order, else by number.

    Raises:
        MagkitError: the layout is incomplete, or its list is not one of numbers.
    """

    kind: Kind = "triplets"
    has_motion = False

    def __init__(self, store: Store) -> None:
        self._store = store
        text = store.read(ALPHAS, MOST_TEXT)
        alphas = _numbers(text, store)
        self._names = _pictures(store)
        if len(self._names) != len(alphas):
            alphas = [_nth(alphas, name, store) for name in self._names]
        self._factors = torch.tensor([factor(value) for value in alphas])
        if not self._factors.isfinite().all():
            raise MagkitError(f"{store.path(ALPHAS)} holds numbers that are too large")
        first = store.read(f"frameA/{self._names[0]}", most_bytes(MOST_PIXELS, MOST_PIXELS))
        with naming(0, store):
            self.shape = frame_shape(first)
            if max(self.shape) > MOST_PIXELS:
                raise MagkitError(f"a picture of {self.shape[1]}x{self.shape[0]} is too large")

    def __len__(self) -> int:
        return len(self._names)

    @cached_property
    def fingerprint(self) -> str:
        """Return a hash of alphas, of all pictures' names and sizes, and of a sample of pictures.

        Raises:
            MagkitError: a picture of the sample can't be read.
        """
        return mark(self._parts())

    def _parts(self) -> Iterator[tuple[str, bytes]]:
        yield "factors", self._factors.numpy().tobytes()
        for name in FOLDERS.values():
            sizes = self._store.sizes(name)
            yield name, json.dumps([[each, sizes.get(each)] for each in self._names]).encode()
            for index in sampled(len(self)):
                if self._names[index] in sizes:  # single frames are read without the other folders
                    path = f"{name}/{self._names[index]}"
                    with naming(index, self._store):
                        yield path, self._store.read(path, most_bytes(*self.shape))

    def triplets(self, indices: Sequence[int]) -> Triplets:
        """Return scenes as a batch; see `DataSet`."""
        return joined([self._triplet(index) for index in indices])

    def frames(self, indices: Sequence[int]) -> torch.Tensor:
        """Return frame A of scenes; see `DataSet`."""
        return torch.stack([self._frame(index, "a") for index in indices])

    def _triplet(self, index: int) -> Triplets:
        frames = {name: self._frame(index, name)[None] for name in FOLDERS}
        unknown = torch.full((1, 3, *self.shape), math.nan)
        given = self._factors[index : index + 1]
        return Triplets(**frames, factor=given, motion=unknown[:, :2], moving=unknown[:, 2:])

    def _frame(self, index: int, name: str) -> torch.Tensor:
        check_index(index, len(self))
        with naming(index, self._store):
            path = f"{FOLDERS[name]}/{self._names[index]}"
            return decode_frame(self._store.read(path, most_bytes(*self.shape)), self.shape)


def _numbers(text: bytes, store: Store) -> list[float]:
    try:
        found = [float(word) for word in text.decode("ascii").split()]
    except ValueError as error:
        raise MagkitError(f"{store.path(ALPHAS)} is not a list of numbers: {error}") from error
    if not found or not all(math.isfinite(value) for value in found):
        raise MagkitError(f"{store.path(ALPHAS)} is not a list of finite numbers")
    return found


def _pictures(store: Store) -> list[str]:
    found = [name for name in store.list("frameA") if re.fullmatch(r"\d{1,12}\.png", name)]
    if not found:
        raise MagkitError(f"{store.path('frameA')} holds no pictures named like 000000.png")
    return sorted(found, key=lambda name: (int(name.partition(".")[0]), name))


def _nth(alphas: Sequence[float], name: str, store: Store) -> float:
    number = int(name.partition(".")[0])
    if number >= len(alphas):
        raise MagkitError(f"{store.path(ALPHAS)} has no line for frameA/{name}")
    return alphas[number]
