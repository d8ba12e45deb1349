"""The picture files of an indexed instances file, matched by path."""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt

from magkit.errors import MagkitError
from magkit.synth.coco_annotations import CUT, HINTS, is_cut
from magkit.synth.coco_index import facts
from magkit.synth.files import AHEAD, THREADS
from magkit.synth.listing import Listing
from magkit.synth.pictures import HEADER, picture_size
from magkit.synth.storage import UnreachableError, read_start

MISSING = -1
_WEB = re.compile(r"https?://", re.IGNORECASE)
_ROOT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^/]*|[A-Za-z]:(?=[\\/])")
_HINT = "name the folder that file_name is relative to, or give file_name with its folders"


class _Rank(NamedTuple):
    """How well a file agrees with a name; all zero where it shares the last part alone."""

    shared: int = 0  # parts of the path, from the last one on
    exact: bool = False  # in the same case
    equal: bool = False  # the path below the listed folder is the name


@dataclass(frozen=True, slots=True)
class _Claim:
    """What an image has a right to a file by."""

    number: int
    rank: _Rank
    name: tuple[str, ...]


def match_pictures(names: Sequence[str], listing: Listing, wanted: Container[int]) -> list[int]:
    """Return the number of each image's file, or -1 where there is none.

    Args:
        names: what each image's file is called.
        listing: the files.
        wanted: images that matter; of others an ambiguous one has no file.

    Raises:
        MagkitError: several files agree equally well with an image's name, or several images with
            a file's.
    """
    files = _Files(listing)
    claims = [_claimed(number, name, files, wanted) for number, name in enumerate(names)]
    best: dict[int, _Claim] = {}
    for file, claim in claims:
        best[file] = max(best.get(file, claim), claim, key=lambda each: each.rank)
    for file, claim in claims:
        rival = best[file]
        tied = file != MISSING and claim.rank == rival.rank and claim.name != rival.name
        if tied and (claim.number in wanted or rival.number in wanted):
            both = " or ".join("/".join(each.name) for each in (rival, claim))
            raise MagkitError(f"{listing.place(file)} may be the picture {both}", _HINT)
    return [
        file if file != MISSING and best[file].name == claim.name else MISSING
        for file, claim in claims
    ]


def _claimed(number: int, name: str, files: _Files, wanted: Container[int]) -> tuple[int, _Claim]:
    ranked = files.ranked(parts := path_parts(name))
    top = max(ranked.values(), default=_Rank())
    found = [file for file, rank in ranked.items() if rank == top]
    if len(found) > 1 and number in wanted:
        places = " or ".join(files.listing.place(file) for file in found[:2])
        more = f" ({len(found)} files bear that name)" if len(found) > 2 else ""
        raise MagkitError(f"the picture '{name}' may be {places}{more}", _HINT)
    return found[0] if len(found) == 1 else MISSING, _Claim(number, top, parts)


class _Files:
    """The files of a listing by the last part and by the last two parts of their places."""

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self._above = path_parts(listing.prefix)
        self._by_end: dict[tuple[str, ...], list[int]] = {}
        for number in range(len(listing)):
            end = tuple(_folded(part) for part in self._place(number)[-2:])
            for key in {end, end[-1:]}:
                self._by_end.setdefault(key, []).append(number)

    def ranked(self, name: tuple[str, ...]) -> dict[int, _Rank]:
        """Return the files that agree with a name, and how well; those that agree best, at least.

        Where no path agrees, these are all files whose last part is the name's.
        """
        end = tuple(_folded(part) for part in name[-2:])
        ranks = {number: self._rank(name, number) for number in self._by_end.get(end, ())}
        agreeing = {number: rank for number, rank in ranks.items() if rank.shared}
        return agreeing or dict.fromkeys(self._by_end.get(end[-1:], ()), _Rank())

    def _place(self, number: int) -> tuple[str, ...]:
        return (*self._above, *path_parts(self.listing.names[number]))

    def _rank(self, name: tuple[str, ...], number: int) -> _Rank:
        place = self._place(number)
        below = len(place) - len(self._above)
        shared = sum(1 for _ in _agreeing(name, place))
        if shared < min(len(name), below):
            return _Rank()
        exact = name[-shared:] == place[-shared:]
        return _Rank(shared, exact, shared >= len(name) == below)


def _agreeing(one: tuple[str, ...], other: tuple[str, ...]) -> Iterator[str]:
    """Yield the parts that two paths share, from the last one on."""
    for left, right in zip(reversed(one), reversed(other), strict=False):
        if left != right and _folded(left) != _folded(right):
            return
        yield left


def _folded(part: str) -> str:
    return part.lower() if part.isascii() else unicodedata.normalize("NFC", part).casefold()


def path_parts(name: str) -> tuple[str, ...]:
    """Return the parts of a path or a URL's path, without what leads out of a folder.

    A drive, a host or bucket, a URL's query, `.` and what `..` takes back are left out, and
    Windows' separators are ones.
    """
    text = name.strip()
    if ":" in text:
        if _WEB.match(text):
            text = unquote(urlsplit(text).path)
        if root := _ROOT.match(text):
            text = text[root.end() :]
    parts: list[str] = []
    for part in text.replace("\\", "/").split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return tuple(parts)


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
