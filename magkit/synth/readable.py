"""Broken items of a source, each replaced by the next that isn't."""

from __future__ import annotations

from collections.abc import Callable

import torch

from magkit.errors import MagkitError
from magkit.synth.storage import UnreachableError

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
                self._numbers.add(number)
                self.places.add(place(number))
        raise MagkitError("none of them can be read")
