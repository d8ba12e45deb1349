"""What the names of frames tell: their numbers, which are missing, and which are there twice."""

import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import TypeVar

from magkit.errors import MagkitError

K = TypeVar("K", bound=Hashable)

_FEW = 5


@dataclass(frozen=True, slots=True)
class Missing:
    """The numbers that no frame has, though frames before and after are there.

    Args:
        runs: Each gap, in rising order; a slip of the pen may make one of billions.
    """

    runs: tuple[range, ...] = ()

    @property
    def count(self) -> int:
        """How many numbers are missing."""
        # `len` fails on a range longer than a machine word counts.
        return sum(run.stop - run.start for run in self.runs)

    def first(self, most: int) -> list[int]:
        """The lowest of them, at most so many."""
        return list(islice(chain.from_iterable(self.runs), most))

    def __str__(self) -> str:
        return few(chain.from_iterable(self.runs), self.count)


def find_missing(paths: Sequence[Path]) -> Missing:
    """The gaps in the numbers of a clip's frames; none where no name has a number.

    Raises:
        MagkitError: Two frames have one number, or some have none.
    """
    return missing_between(frame_numbers(paths))


def missing_between(numbers: Iterable[int]) -> Missing:
    """The gaps in numbers of any order."""
    known = sorted(numbers)
    return Missing(tuple(range(a + 1, b) for a, b in pairwise(known) if b - a > 1))


def frame_numbers(paths: Sequence[Path]) -> list[int]:
    """The number of each frame; an empty list where no name has a number.

    Of several numbers in the names, that counts which tells most frames apart, or the last of such.

    Raises:
        MagkitError: Two frames have one number, or some have none.
    """
    numbers = [[int(digits) for digits in re.findall(r"\d+", path.stem)] for path in paths]
    if not any(numbers):
        return []
    if bare := [path for path, own in zip(paths, numbers, strict=True) if not own]:
        others = f"; {len(bare)} such pictures in all" if len(bare) > 1 else ""
        raise MagkitError(
            f"{bare[0]} has no frame number, though others have{others}",
            hint="number all frames, or leave out other pictures with --pattern",
        )
    return list(_index(_telling(numbers), paths))


def _telling(numbers: list[list[int]]) -> tuple[int, ...]:
    """Of the numbers in every name, the one that is the frame's."""
    if len({len(one) for one in numbers}) > 1:
        return tuple(one[-1] for one in numbers)
    places = list(zip(*numbers, strict=True))
    return max(reversed(places), key=lambda place: len(set(place)))


def by_name(paths: Sequence[Path]) -> dict[str, Path]:
    """Pictures by their names without suffixes, in which 7, 007 and 00007 are the same.

    Raises:
        MagkitError: Two have one name.
    """
    return _index(map(plain_name, paths), paths)


def plain_name(path: Path) -> str:
    """A name without its suffix and its numbers' leading zeros."""
    return re.sub(r"\d+", lambda n: str(int(n[0])), path.stem)


def _index(keys: Iterable[K], paths: Sequence[Path]) -> dict[K, Path]:
    found: dict[K, Path] = {}
    twice: dict[K, Path] = {}
    for key, path in zip(keys, paths, strict=True):
        (twice if key in found else found).setdefault(key, path)
    if twice:
        key, path = next(iter(twice.items()))
        others = f"; {len(twice)} frames are there twice" if len(twice) > 1 else ""
        raise MagkitError(
            f"{found[key]} and {path.name} are both frame {key}{others}",
            hint="a clip holds each frame once: --pattern '*.png' leaves others out",
        )
    return found


def few(items: Iterable[object], count: int) -> str:
    """The first few of `count` items, for a message."""
    shown = ", ".join(map(str, islice(items, _FEW)))
    return shown if count <= _FEW else f"{shown}, ... ({count} in all)"
