"""Which objects of an indexed instances file have a picture, and why others can't be used."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from magkit.errors import MagkitError
from magkit.synth.coco_index import facts
from magkit.synth.coco_parts import CUT, HINTS, is_cut
from magkit.synth.listing import Listing
from magkit.synth.picture_match import MISSING, match_pictures
from magkit.synth.pictures import HEADER, picture_size
from magkit.synth.prefetch import AHEAD, THREADS
from magkit.synth.storage import UnreachableError, read_start

logger = logging.getLogger(__name__)

UNREAD = "have a picture whose size is neither stated nor to be read"
Numbers = npt.NDArray[np.int32]
Size = tuple[int, int]  # height and width


@dataclass(frozen=True, slots=True)
class Found:
    """The objects that can be used, and what became of the others.

    Attributes:
        objects: their numbers in the index, ascending.
        files: of each, the number of its picture in the listing.
        sizes: height and width of the images whose size the file doesn't state, by their numbers.
        left_out: how many annotations can't be used, and why; empty: all can be.
        hint: what to do about the commonest reason.
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
        MagkitError: which picture is which can't be told, or one can't be reached.
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

    said = facts(database)
    reasons = Counter[str](json.loads(said["left_out"]))
    lost = np.isin(pairs[:, 1], absent)
    if lost.any():
        one = names[int(absent[0])]
        there = f"{len(absent)} of {len(wanted)} are not there, '{one}' for one"
        reasons[f"have no picture in {listing.location} ({there})"] = int(lost.sum())
    broken = np.isin(pairs[:, 1], unread)
    reasons[UNREAD] += int(broken.sum())
    reasons[CUT] += len(cut)
    kept = pairs[~(lost | broken | np.isin(pairs[:, 0], cut))]
    text, hint = _explained(reasons, int(said["annotations"]))
    return Found(kept[:, 0], files[kept[:, 1]], sizes, text, hint)


def _explained(reasons: Counter[str], annotations: int) -> tuple[str, str]:
    """Return why annotations can't be used, the commonest reason first, and what to do about it."""
    if not annotations:
        return "it holds no annotations", ""
    common = [(reason, count) for reason, count in reasons.most_common() if count]
    texts = [f"{count} of {annotations} annotations {reason}" for reason, count in common]
    hint = "--object-images says where its pictures are"
    if common and not common[0][0].startswith("have no picture in"):
        hint = HINTS.get(common[0][0], "")
    return ", ".join(texts), hint


def _without_size(database: sqlite3.Connection, files: Numbers, wanted: Numbers) -> list[int]:
    """Return the images that have a picture and objects, and whose size isn't stated."""
    rows = database.execute("SELECT number FROM images WHERE width IS NULL ORDER BY number")
    known = set(wanted[files[wanted] != MISSING].tolist())
    return [number for (number,) in rows if number in known]


def _sizes(
    images: Sequence[int], listing: Listing, files: Numbers
) -> tuple[dict[int, Size], list[int]]:
    """Read pictures' sizes; return those, and the images whose picture can't be read."""
    sizes: dict[int, Size] = {}
    unread: list[int] = []
    if len(images) > AHEAD:
        logger.info("reading the sizes of %d pictures, which their file doesn't state", len(images))
    with ThreadPoolExecutor(THREADS) as pool:
        for first in range(0, len(images), AHEAD):
            some = images[first : first + AHEAD]
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
        raise  # which objects there are must not hang on a network's mood
    except MagkitError:
        return b""


def _cut(database: sqlite3.Connection, sizes: Mapping[int, Size]) -> list[int]:
    """Return the objects that are cut by the border of pictures with these sizes."""
    rows = database.execute(
        "SELECT o.number, o.image, o.x, o.y, o.width, o.height FROM objects o"
        " JOIN images i ON i.number = o.image WHERE i.width IS NULL"
    )
    cut = []
    for number, image, *box in rows:
        if image in sizes:
            height, width = sizes[image]
            if is_cut((box[0], box[1], box[2], box[3]), width, height):
                cut.append(number)
    return cut
