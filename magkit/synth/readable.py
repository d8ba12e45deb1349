"""Broken items of a source, each replaced by the next that isn't."""

from __future__ import annotations

from collections.abc import Callable

import torch

from magkit.errors import MagkitError
from magkit.synth.storage import UnreachableError

TRIED = 200  # items at the start: where none of so many can be read, the kind is wrong
PATIENCE = 8  # files in a row that can't be reached: then it isn't the files' fault


class Replacing:
    """Finds readable items, and remembers which are not.

    What replaces what depends on the items alone, not on what was read before. Only a file that
    can't be reached, though it was asked for several times, may be there another day.

    Attributes:
        places: the files that were found broken so far.
    """

    def __init__(self) -> None:
        self.places: set[str] = set()
        self._numbers: set[int] = set()
        self._why = ""  # the first of them can't be read

    def first(
        self,
        count: int,
        start: int,
        read: Callable[[int], torch.Tensor],
        place: Callable[[int], str],
    ) -> tuple[int, torch.Tensor]:
        """Return the first of `count` items from `start` on that can be read, and its number.

        Args:
            count: number of items; the first comes after the last.
            start: where to begin.
            read: reads an item, or raises MagkitError.
            place: tells an item's file.

        Raises:
            MagkitError: none can be read, or one after the other can't be reached.
        """
        unreachable = 0
        for number in ((start + step) % count for step in range(count)):
            if number in self._numbers:
                continue
            try:
                return number, read(number)
            except MagkitError as error:
                unreachable += isinstance(error, UnreachableError)
                if unreachable == PATIENCE:
                    raise
                self._why = self._why or error.message
                self._numbers.add(number)
                self.places.add(place(number))
        raise MagkitError(f"{count} were tried, the first: {self._why}")


def check_some(
    count: int, read: Callable[[int], torch.Tensor], place: Callable[[int], str]
) -> None:
    """Check that one of `count` items can be read, of at most 200 spread evenly over them.

    Where all is well, the first is read and no other.

    Raises:
        MagkitError: none can be read, or one after the other can't be reached.
    """
    tried = sorted({n * count // min(count, TRIED) for n in range(min(count, TRIED))})
    Replacing().first(len(tried), 0, lambda n: read(tried[n]), lambda n: place(tried[n]))
