"""Objects cut out of photographs along the outlines of a COCO instances file."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pycocotools import mask as rle

from magkit.errors import MagkitError
from magkit.synth.cache import TensorCache
from magkit.synth.coco_index import connect, facts, index_of
from magkit.synth.listing import find_files
from magkit.synth.pictures import MAX_PIXELS, decode_rgb
from magkit.synth.prefetch import Reader
from magkit.synth.readable import Replacing
from magkit.synth.sources import fit_longest
from magkit.synth.storage import absolute

REACH = 4  # an outline may reach so many times a picture's longer side from its corner


@dataclass(frozen=True, slots=True)
class _Object:
    id: str
    box: tuple[float, float, float, float]  # x, y, width, height in pixels
    height: int  # of its picture
    width: int
    outline: str  # JSON: polygons or run lengths


class CocoCutouts:
    """Objects of a COCO instances file: polygons and RLE, without crowds and tiny ones.

    Objects are numbered in the order of the file, those without a picture left out. An object
    whose picture or mask turns out broken is replaced by the next one, and its picture listed in
    `unreadable`.

    Args:
        annotations: path or URL of the file; it is indexed once, see `coco_index`.
        images: the place of its pictures, as `find_files` takes them; told apart by their names
            alone, wherever in the place they lie.
        cache: what keeps the cut-outs.

    Raises:
        MagkitError: the file or the place can't be used, or no object has a picture.
    """

    def __init__(
        self,
        annotations: str | Path,
        images: str | Path,
        cache: TensorCache | None = None,
    ) -> None:
        self.location = absolute(str(annotations))
        self._index = index_of(self.location)
        self._images = find_files(str(images))
        self._cache = cache or TensorCache()
        self._reader = Reader()
        self._replacing = Replacing()
        self._database: sqlite3.Connection | None = None
        with contextlib.closing(connect(self._index)) as database:
            self.sha256 = facts(database)["sha256"]
            files = _matched(database, self._images.names)
            # Numbers of the objects whose pictures are there: a few bytes for each.
            rows = database.execute("SELECT number, image FROM objects ORDER BY number")
            pairs = np.fromiter((v for row in rows for v in row), np.int32).reshape(-1, 2)
        kept = pairs[files[pairs[:, 1]] >= 0]
        self._kept, self._files = kept[:, 0], files[kept[:, 1]]
        if not len(kept):
            text = f"{annotations} names no object whose picture lies in {images}"
            raise MagkitError(text, "--object-images says where its pictures are")

    def __getstate__(self) -> dict[str, Any]:
        # A connection stays with the process that opened it.
        return {**self.__dict__, "_database": None}

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def unreadable(self) -> set[str]:
        """Return the places of the pictures whose objects were replaced."""
        return self._replacing.places

    def cutout(self, index: int, longest: int) -> torch.Tensor:
        """Return object `index` as float RGBA (4, h, w), longer side at most `longest`.

        Raises:
            MagkitError: no object can be cut out.
        """
        return fit_longest(self._readable(index)[1], longest)

    def name(self, index: int) -> str:
        """Return the picture's name and the annotation's number of what `cutout(index)` returns."""
        number = self._readable(index)[0]
        with self._asking():
            found = self._object(number)
        return f"{PurePosixPath(self._place(number)).name}#{found.id}"

    def prepare(self, indices: Iterable[int]) -> None:
        """Begin to read the objects' pictures where they lie elsewhere."""
        wanted = (n for n in indices if self._key(n) not in self._cache)
        self._reader.announce(self._place(n) for n in wanted)

    def describe(self) -> list[dict[str, Any]]:
        """Return kind, location, count, the file's sha256, and its pictures' listing."""
        part = {"kind": "coco", "location": self.location, "count": len(self)}
        return [{**part, "sha256": self.sha256, "images": self._images.describe()}]

    def _key(self, number: int) -> tuple[str, str, int]:
        return "coco", self.location, number

    def _readable(self, index: int) -> tuple[int, torch.Tensor]:
        def read(number: int) -> torch.Tensor:
            return self._cache.get(self._key(number), lambda: self._full(number))

        try:
            with self._asking():
                return self._replacing.first(len(self), index, read, self._place)
        except MagkitError as error:
            text = f"no object of {self.location} can be cut out of its picture: {error.message}"
            raise MagkitError(text) from error

    def _full(self, number: int) -> torch.Tensor:
        found, place = self._object(number), self._place(number)
        mask = _mask(found)
        pixels = decode_rgb(self._reader.read(place), place)
        if pixels.shape[1:] != mask.shape:
            raise MagkitError(f"{place} has another size than its annotations")
        alpha = torch.from_numpy(mask * np.uint8(255))[None]
        x, y, width, height = (int(v) for v in found.box)
        window = (slice(max(y - 1, 0), y + height + 2), slice(max(x - 1, 0), x + width + 2))
        if not alpha[:, *window].any():
            raise MagkitError(f"annotation {found.id} has an empty mask")
        return torch.cat([pixels[:, *window], alpha[:, *window]]).contiguous()

    def _place(self, number: int) -> str:
        return self._images.place(int(self._files[number]))

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        # A lost index is no broken object: it passes by what replaces those, as another error.
        try:
            yield
        except sqlite3.Error as error:
            text = f"{self._index}, the index of {self.location}, can't be read: {error}"
            raise MagkitError(text, "start again: it is made anew") from error

    def _object(self, number: int) -> _Object:
        """Look an object up in the index; sqlite3.Error where that is lost."""
        query = (
            "SELECT o.id, o.x, o.y, o.width, o.height, i.height, i.width, segmentation"
            " FROM objects o JOIN images i ON i.number = o.image"
            " JOIN outlines s ON s.number = o.number WHERE o.number = ?"
        )
        if self._database is None:
            self._database = connect(self._index)
        row = self._database.execute(query, (int(self._kept[number]),)).fetchone()
        return _Object(str(row[0]), tuple(row[1:5]), *row[5:])


def _matched(database: sqlite3.Connection, names: tuple[str, ...]) -> npt.NDArray[np.int32]:
    """Return, for each image of an index, the number of the file that bears its name, or -1.

    Of files of one name, the first counts that lies least deep.
    """
    numbers: dict[str, int] = {}
    for number in sorted(range(len(names)), key=lambda n: (names[n].count("/"), n)):
        numbers.setdefault(PurePosixPath(names[number]).name, number)
    rows = database.execute("SELECT name FROM images ORDER BY number")
    return np.array([numbers.get(name, -1) for (name,) in rows], np.int32)


def _mask(found: _Object) -> npt.NDArray[np.uint8]:
    """Return an object's mask over its whole picture, 0 or 1."""
    height, width = found.height, found.width
    try:
        if not 0 < height * width <= MAX_PIXELS:
            raise ValueError("its picture is too large")
        outline = json.loads(found.outline)
        if isinstance(outline, dict):
            return _from_runs(outline, height, width)
        _check_reach(outline, REACH * max(height, width))
        polygons = rle.merge(rle.frPyObjects(outline, height, width))
        return np.asarray(rle.decode(polygons), np.uint8)
    except Exception as error:  # the decoder is written in C and raises what comes its way
        raise MagkitError(f"annotation {found.id} has no mask: {error}") from error


def _check_reach(polygons: list[Any], reach: int) -> None:
    # The decoder walks along every edge pixel by pixel, however long it is.
    for polygon in polygons:
        if not all(-reach <= float(v) <= reach for v in polygon):
            raise ValueError("it lies far outside of its picture")


def _from_runs(coded: dict[str, Any], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Decode run lengths, column by column; where they are too few, pycocotools leaves rubbish."""
    counts = coded["counts"]
    runs = np.array(_counts(counts) if isinstance(counts, str) else counts, np.int64)
    if list(coded["size"]) != [height, width] or runs.min() < 0 or runs.sum() != height * width:
        raise ValueError("its run lengths do not fit its picture")
    values = np.arange(len(runs), dtype=np.uint8) % 2
    return np.repeat(values, runs).reshape(width, height).T


def _counts(text: str) -> list[int]:
    """Unpack COCO's text of run lengths: 5 bits a character, from the third on differences."""
    counts: list[int] = []
    value = shift = 0
    for code in (ord(character) - 48 for character in text):
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            value -= (code >> 4 & 1) << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts
