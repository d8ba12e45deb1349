"""The layout in which the training data of Oh et al. (ECCV 2018) were published.

    frameA/000000.png   frameB/   frameC/   amplified/   train_mf.txt

`frameC` is `frameB` without its change of colour, and `amplified` is coloured like `frameB`. Line n
of `train_mf.txt` is the alpha of picture n. The paper (equation 2) magnifies to (1 + alpha) times
the displacement: alpha is magkit's factor minus one, which is converted here.
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

from magkit.data.dataset import check_index, concatenate, scene_errors
from magkit.data.encode import EncodedScene, decode_frame, frame_shape, max_png_bytes
from magkit.data.layouts import Layout
from magkit.data.plan import MAX_SIDE, Kind, Plan, digest, sample_indices
from magkit.data.store import Store
from magkit.errors import MagkitError
from magkit.synth.triplets import Triplets

ALPHAS = "train_mf.txt"
FOLDERS = {"a": "frameA", "b": "frameB", "c": "frameC", "m": "amplified"}
MAX_ALPHAS_BYTES = 256 << 20


def alpha(factor: float) -> float:
    """Return the paper's alpha of a factor."""
    return factor - 1


def factor(alpha: float) -> float:
    """Return the factor of the paper's alpha."""
    return alpha + 1


def _write_unit(folder: Path, _plan: Plan, _unit: int, scenes: Iterable[EncodedScene]) -> list[Any]:
    """Write scenes, and return their records."""
    records = []
    for scene in scenes:
        for name, data in scene.files.items():
            place = folder / FOLDERS[name.removesuffix(".png")] / f"{scene.record['index']:06}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        records.append(dict(scene.record))
    return records


def _write_alphas(folder: Path, _plan: Plan, units: Iterable[list[Any]]) -> None:
    """Write the alphas."""
    with (folder / ALPHAS).open("w", encoding="ascii", newline="\n") as file:
        for records in units:
            file.writelines(f"{alpha(record['factor'])!r}\n" for record in records)


LAYOUT = Layout(1, _write_unit, _write_alphas)


class PublishedScenes:
    """A data set in this layout as a `DataSet`; its motion is unknown.

    Pictures and alphas are matched in order if they are equally many, otherwise by number.

    Raises:
        MagkitError: the layout is incomplete, or the alphas are no numbers.
    """

    kind: Kind = "triplets"
    has_motion = False

    def __init__(self, store: Store) -> None:
        self._store = store
        text = store.read(ALPHAS, MAX_ALPHAS_BYTES)
        alphas = _numbers(text, store)
        self._names = _pictures(store)
        if len(self._names) != len(alphas):
            alphas = [_nth(alphas, name, store) for name in self._names]
        self._factors = torch.tensor([factor(value) for value in alphas])
        if not self._factors.isfinite().all():
            raise MagkitError(f"{store.path(ALPHAS)} holds numbers that are too large")
        first = store.read(f"frameA/{self._names[0]}", max_png_bytes(MAX_SIDE, MAX_SIDE))
        with scene_errors(0, store):
            self.shape = frame_shape(first)
            if max(self.shape) > MAX_SIDE:
                raise MagkitError(f"a picture of {self.shape[1]}x{self.shape[0]} is too large")

    def __len__(self) -> int:
        return len(self._names)

    @cached_property
    def fingerprint(self) -> str:
        """Return a hash of alphas, names and sizes of all pictures, and a sample of pictures.

        Raises:
            MagkitError: a picture of the sample can't be read.
        """
        return digest(self._parts())

    def _parts(self) -> Iterator[tuple[str, bytes]]:
        yield "factors", self._factors.numpy().tobytes()
        for name in FOLDERS.values():
            sizes = self._store.sizes(name)
            yield name, json.dumps([[each, sizes.get(each)] for each in self._names]).encode()
            for index in sample_indices(len(self)):
                if self._names[index] in sizes:  # single frames are read without the other folders
                    path = f"{name}/{self._names[index]}"
                    with scene_errors(index, self._store):
                        yield path, self._store.read(path, max_png_bytes(*self.shape))

    def triplets(self, indices: Sequence[int]) -> Triplets:
        """Return scenes as a batch; see `DataSet`."""
        return concatenate([self._triplet(index) for index in indices])

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
        with scene_errors(index, self._store):
            path = f"{FOLDERS[name]}/{self._names[index]}"
            return decode_frame(self._store.read(path, max_png_bytes(*self.shape)), self.shape)


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
