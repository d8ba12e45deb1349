"""Objects cut out of photographs along the outlines of a COCO instances file."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from magkit.errors import MagkitError
from magkit.synth.coco_annotations import draw_mask
from magkit.synth.coco_index import connect, facts, index_of
from magkit.synth.coco_pictures import find_pictures
from magkit.synth.files import Reader, Replacing, check_some
from magkit.synth.listing import find_files
from magkit.synth.pictures import decode_rgb, decoding, open_picture
from magkit.synth.sources import TensorCache, fit_longest
from magkit.synth.storage import absolute
from magkit.video.pictures import oriented_size

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Object:
    id: str
    box: tuple[float, float, float, float]  # x, y, width, height in pixels
    height: int  # of its picture
    width: int
    outline: str  # JSON: polygons or run lengths


class CocoCutouts:
    """Objects of a COCO instances file: polygons and RLE, without crowds and tiny ones.

    Objects are numbered in the order of the file, those that can't be used left out. An object
    whose picture or mask turns out broken is replaced by the next one, and its picture listed in
    `unreadable`.

    Args:
        annotations: path or URL of the file; it is indexed once, see `coco_index`.
        images: the place of its pictures, as `find_files` takes them; which is which,
            `picture_match` tells.
        cache: what keeps the cut-outs.

    Raises:
        MagkitError: the file or the place can't be used, no object of it, or several files may be
            the same picture.
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
        with self._asking(), contextlib.closing(connect(self._index)) as database:
            self.sha256 = facts(database)["sha256"]
            found = find_pictures(database, self._images)
        self._kept, self._files, self._sizes = found.objects, found.files, found.sizes
        if not len(self):
            text = f"no object of {self.location} can be used: {found.left_out}"
            raise MagkitError(text, found.hint)
        self._check()
        if found.left_out:
            logger.info("%d objects of %s are used: %s", len(self), self.location, found.left_out)

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

    def _check(self) -> None:
        with self._explaining():
            check_some(len(self), self._read, self._place)
        if self._database is not None:  # belongs to this thread, and others may go on
            self._database.close()
            self._database = None

    def _readable(self, index: int) -> tuple[int, torch.Tensor]:
        with self._explaining():
            return self._replacing.first(len(self), index, self._read, self._place)

    @contextlib.contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            with self._asking():
                yield
        except MagkitError as error:
            text = f"no object of {self.location} can be cut out of its picture: {error.message}"
            raise MagkitError(text, error.hint) from error

    def _read(self, number: int) -> torch.Tensor:
        return self._cache.get(self._key(number), lambda: self._full(number))

    def _full(self, number: int) -> torch.Tensor:
        found, place = self._object(number), self._place(number)
        data = self._reader.read(place)
        _check_size(found, data, place)
        mask = _mask(found)
        pixels = decode_rgb(data, place)
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
            "SELECT o.id, o.image, o.x, o.y, o.width, o.height, i.height, i.width, segmentation"
            " FROM objects o JOIN images i ON i.number = o.image"
            " JOIN outlines s ON s.number = o.number WHERE o.number = ?"
        )
        if self._database is None:
            self._database = connect(self._index)
        row = self._database.execute(query, (int(self._kept[number]),)).fetchone()
        height, width = self._sizes.get(row[1]) or row[6:8]
        return _Object(str(row[0]), row[2:6], height, width, row[8])


def _check_size(found: _Object, data: bytes, place: str) -> None:
    image = open_picture(data, place)
    with decoding(place):
        width, height = oriented_size(image)
    if (width, height) != (found.width, found.height):
        said = f"{found.width} x {found.height}"
        raise MagkitError(f"{place} is {width} x {height} pixels, and its annotations say {said}")


def _mask(found: _Object) -> npt.NDArray[np.uint8]:
    """Return an object's mask over its whole picture, 0 or 1."""
    try:
        return draw_mask(json.loads(found.outline), found.height, found.width)
    except Exception as error:  # the decoder is written in C and raises what comes its way
        raise MagkitError(f"annotation {found.id} has no mask: {error}") from error
