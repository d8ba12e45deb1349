"""Which file of a listing is the picture that an instances file means by a name.

A name is a path that somebody's folders had, or a URL. The file whose path agrees is the picture:
the whole name is the end of the file's place (`train/1.jpg` in `/data/train` or in `/data`), or the
whole path below the listed folder is the end of the name (`a/1.jpg` below the folder, where names
are `train/a/1.jpg`). Where no path agrees, the last part of the name decides, if one file alone has
it and no other name has a better right to that file. Case counts only between files that differ by
nothing else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from magkit.errors import MagkitError
from magkit.synth.listing import Listing

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
