"""Objects of a COCO instances file, cut out of their pictures."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from magkit.errors import MagkitError
from magkit.synth.coco_annotations import HINTS, TRUNCATED, draw_mask, is_truncated, unpack
from magkit.synth.coco_index import connect, index_of, metadata
from magkit.synth.listing import MISSING, Listing, find_files, match_pictures
from magkit.synth.pictures import (
    HEADER,
    PREFETCH_FILES,
    READ_THREADS,
    FileItems,
    decode_errors,
    decode_rgb,
    open_picture,
    picture_size,
)
from magkit.synth.sources import TensorCache, fit_longest
from magkit.synth.storage import UnreachableError, absolute, read_start
from magkit.video.pictures import oriented_size

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Object:
    id: str
    box: tuple[float, float, float, float]  # x, y, width, height in pixels
    height: int  # of its picture
    width: int
    segmentation: bytes  # see `pack`


class CocoCutouts(FileItems):
    """Objects of a COCO instances file: polygons and RLE, without crowds and tiny ones.

    Usable objects are numbered in the order of the file. An object whose picture or mask is broken
    is replaced by the next one, and its picture listed in `unreadable`.

    Args:
        annotations: path or URL of the file; it is indexed once, see `coco_index`.
        images: the location of its pictures, as `find_files` takes it; `match_pictures` tells
            which is which.
        cache: of the cut-outs.

    Raises:
        MagkitError: the file, the location or all objects are unusable, or several files may be
            the same picture.
    """

    def __init__(
        self,
        annotations: str | Path,
        images: str | Path,
        cache: TensorCache | None = None,
    ) -> None:
        self.location = absolute(str(annotations))
        super().__init__(f"no object of {self.location} can be cut out of its picture", cache)
        self._index = index_of(self.location)
        self._images = find_files(str(images))
        self._database: sqlite3.Connection | None = None
        with self._index_errors(), contextlib.closing(connect(self._index)) as database:
            self.sha256 = metadata(database)["sha256"]
            found = find_pictures(database, self._images)
        self._kept, self._files, self._sizes = found.objects, found.files, found.sizes
        if not len(self):
            text = f"no object of {self.location} can be used: {found.left_out}"
            raise MagkitError(text, found.hint)
        self.check_readable()
        if self._database is not None:  # belongs to this thread
            self._database.close()
            self._database = None
        if found.left_out:
            logger.info("%d objects of %s are used: %s", len(self), self.location, found.left_out)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_database": None}  # a connection belongs to its process

    def __len__(self) -> int:
        return len(self._kept)

    def cutout(self, index: int, longest: int) -> torch.Tensor:
        """Return object `index` as float RGBA (4, h, w), longer side at most `longest`.

        Raises:
            MagkitError: no object can be cut out.
        """
        return fit_longest(self.readable(index)[1], longest)

    def name(self, index: int) -> str:
        """Return the picture's name and the annotation's id of what `cutout(index)` returns."""
        number = self.readable(index)[0]
        with self._index_errors():
            found = self._object(number)
        return f"{PurePosixPath(self.place(number)).name}#{found.id}"

    def place(self, number: int) -> str:
        """Return the place of an object's picture."""
        return self._images.place(int(self._files[number]))

    def describe(self) -> list[dict[str, Any]]:
        """Return kind, location, count, the file's sha256, and its pictures' listing."""
        part = {"kind": "coco", "location": self.location, "count": len(self)}
        return [{**part, "sha256": self.sha256, "images": self._images.describe()}]

    def _key(self, number: int) -> Hashable:
        return "coco", self.location, number

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        with super()._failures(), self._index_errors():
            yield

    def _load(self, number: int) -> torch.Tensor:
        found, place = self._object(number), self.place(number)
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

    @contextlib.contextmanager
    def _index_errors(self) -> Iterator[None]:
        # A damaged index is no broken object, which would be replaced.
        try:
            yield
        except sqlite3.Error as error:
            text = f"{self._index}, the index of {self.location}, can't be read: {error}"
            raise MagkitError(text, "start again: it is made anew") from error

    def _object(self, number: int) -> _Object:
        """Look an object up in the index; raises sqlite3.Error if that is damaged."""
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
    with decode_errors(place):
        width, height = oriented_size(image)
    if (width, height) != (found.width, found.height):
        said = f"{found.width} x {found.height}"
        raise MagkitError(f"{place} is {width} x {height} pixels, and its annotations say {said}")


def _mask(found: _Object) -> npt.NDArray[np.uint8]:
    """Return an object's mask over its whole picture, 0 or 1."""
    try:
        return draw_mask(unpack(found.segmentation), found.height, found.width)
    except Exception as error:  # pycocotools raises exceptions of many types
        raise MagkitError(f"annotation {found.id} has no mask: {error}") from error


UNREADABLE = "have a picture whose size is neither stated nor to be read"
Numbers = npt.NDArray[np.int32]
Size = tuple[int, int]  # height and width


@dataclass(frozen=True, slots=True)
class Found:
    """The usable objects, and why others aren't.

    Attributes:
        objects: their numbers in the index, ascending.
        files: of each, the number of its picture in the listing.
        sizes: height and width of the images whose size the file doesn't state, by their numbers.
        left_out: counts and reasons of unusable annotations, or "".
        hint: for the most frequent reason.
    """

    objects: Numbers
    files: Numbers
    sizes: Mapping[int, Size]
    left_out: str
    hint: str


def find_pictures(database: sqlite3.Connection, listing: Listing) -> Found:
    """Find the objects of an index whose pictures a listing holds.

    Args:
        database: the index.
        listing: the files among which the pictures are.

    Raises:
        MagkitError: pictures are ambiguous, or one is unreachable.
        sqlite3.Error: the index can't be read.
    """
    named = database.execute("SELECT name FROM images ORDER BY number")
    names = [name for (name,) in named]
    rows = database.execute("SELECT number, image FROM objects ORDER BY number")
    # Numbers of objects and their images: a few bytes for each.
    pairs = np.fromiter((value for row in rows for value in row), np.int32).reshape(-1, 2)
    wanted = np.unique(pairs[:, 1])
    files = np.array(match_pictures(names, listing, set(wanted.tolist())), np.int32)
    absent = wanted[files[wanted] == MISSING]
    sizes, unread = _sizes(_without_size(database, files, wanted), listing, files)
    cut = _cut(database, sizes)

    said = metadata(database)
    reasons = Counter[str](json.loads(said["left_out"]))
    lost = np.isin(pairs[:, 1], absent)
    if lost.any():
        one = names[int(absent[0])]
        there = f"{len(absent)} of {len(wanted)} are not there, '{one}' for one"
        reasons[f"have no picture in {listing.location} ({there})"] = int(lost.sum())
    broken = np.isin(pairs[:, 1], unread)
    reasons[UNREADABLE] += int(broken.sum())
    reasons[TRUNCATED] += len(cut)
    kept = pairs[~(lost | broken | np.isin(pairs[:, 0], cut))]
    text, hint = _explained(reasons, int(said["annotations"]))
    return Found(kept[:, 0], files[kept[:, 1]], sizes, text, hint)


def _explained(reasons: Counter[str], annotations: int) -> tuple[str, str]:
    """Return why annotations are unusable, the most frequent reason first, and a hint."""
    if not annotations:
        return "it holds no annotations", ""
    common = [(reason, count) for reason, count in reasons.most_common() if count]
    texts = [f"{count} of {annotations} annotations {reason}" for reason, count in common]
    hint = "--object-images says where its pictures are"
    if common and not common[0][0].startswith("have no picture in"):
        hint = HINTS.get(common[0][0], "")
    return ", ".join(texts), hint


def _without_size(database: sqlite3.Connection, files: Numbers, wanted: Numbers) -> list[int]:
    """Return the images with a picture and objects whose size isn't stated."""
    rows = database.execute("SELECT number FROM images WHERE width IS NULL ORDER BY number")
    known = set(wanted[files[wanted] != MISSING].tolist())
    return [number for (number,) in rows if number in known]


def _sizes(
    images: Sequence[int], listing: Listing, files: Numbers
) -> tuple[dict[int, Size], list[int]]:
    """Return the sizes of pictures, and the images whose picture can't be read."""
    sizes: dict[int, Size] = {}
    unread: list[int] = []
    if len(images) > PREFETCH_FILES:
        logger.info("reading the sizes of %d pictures, which their file doesn't state", len(images))
    with ThreadPoolExecutor(READ_THREADS) as pool:
        for first in range(0, len(images), PREFETCH_FILES):
            some = images[first : first + PREFETCH_FILES]
            places = [listing.place(int(files[image])) for image in some]
            for image, place, start in zip(some, places, pool.map(_start, places), strict=True):
                try:
                    sizes[image] = picture_size(start, place)
                except UnreachableError:
                    raise
                except MagkitError:
                    unread.append(image)
    return sizes, unread


def _start(place: str) -> bytes:
    try:
        return read_start(place, HEADER)
    except UnreachableError:
        raise  # the set of objects must not depend on the network
    except MagkitError:
        return b""


def _cut(database: sqlite3.Connection, sizes: Mapping[int, Size]) -> list[int]:
    """Return the objects that are truncated by the border of pictures with these sizes."""
    rows = database.execute(
        "SELECT o.number, o.image, o.x, o.y, o.width, o.height FROM objects o"
        " JOIN images i ON i.number = o.image WHERE i.width IS NULL"
    )
    cut = []
    for number, image, *box in rows:
        if image in sizes:
            height, width = sizes[image]
            if is_truncated((box[0], box[1], box[2], box[3]), width, height):
                cut.append(number)
    return cut
