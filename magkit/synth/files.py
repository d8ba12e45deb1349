"""The files of a listing as tensors: prefetched, cached, replaced where broken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import torch

from magkit.errors import MagkitError
from magkit.synth.listing import Listing
from magkit.synth.sources import TensorCache
from magkit.synth.storage import UnreachableError, is_local, read_bytes

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


THREADS = 16
AHEAD = 64  # files
AHEAD_BYTES = 4 << 20  # of a file: a larger one is read when it is its turn


class Reader:
    """Reads files whole; those that were announced are on their way already.

    What was announced is kept until the next announcement: at most 64 files of 4 MB.
    """

    def __init__(self) -> None:
        self._coming: dict[str, Future[bytes | None]] = {}

    def __reduce__(self) -> tuple[type[Reader], tuple[()]]:
        # What is on its way to this process is of no use to another.
        return Reader, ()

    def announce(self, places: Iterable[str]) -> None:
        """Begin to read what is needed soon and lies elsewhere."""
        wanted = [place for place in dict.fromkeys(places) if not is_local(place)][:AHEAD]
        for place in self._coming.keys() - wanted:
            self._coming.pop(place).cancel()
        for place in wanted:
            if place not in self._coming:
                self._coming[place] = _threads().submit(_small, place)

    def read(self, place: str) -> bytes:
        """Return what a file holds; raises what `read_bytes` does."""
        coming = self._coming.get(place)
        data = coming.result() if coming else None
        return read_bytes(place) if data is None else data


def _small(place: str) -> bytes | None:
    try:
        return read_bytes(place, AHEAD_BYTES)
    except MagkitError:
        return None  # read again when it is its turn, so that whoever needs it hears of it


@lru_cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="read")


class ListedFiles:
    """What pictures and cut-outs out of files have in common.

    Args:
        listing: the files.
        decode: of a file's content and its place; raises MagkitError where it can't be used.
        failure: what is said where no file can be used.
        cache: what keeps the tensors.
    """

    def __init__(
        self,
        listing: Listing,
        decode: Callable[[bytes, str], torch.Tensor],
        failure: str,
        cache: TensorCache | None,
    ) -> None:
        self.listing = listing
        self._decode, self._failure = decode, failure
        self._cache = cache or TensorCache()
        self._reader = Reader()
        self._replacing = Replacing()

    def __len__(self) -> int:
        return len(self.listing)

    @property
    def unreadable(self) -> set[str]:
        """Return the places of the files that were replaced."""
        return self._replacing.places

    def name(self, index: int) -> str:
        """Return the path of what stands for item `index`, from the location on."""
        return self.listing.names[self.readable(index)[0]]

    def prepare(self, indices: Iterable[int]) -> None:
        """Begin to read files that lie elsewhere."""
        places = (self.listing.place(index) for index in indices)
        self._reader.announce(place for place in places if place not in self._cache)

    def describe(self) -> list[dict[str, Any]]:
        """Return the listing's kind, location, counts and hash."""
        return [self.listing.describe()]

    def readable(self, index: int) -> tuple[int, torch.Tensor]:
        """Return file `index`, or the first after it that can be used, and its number.

        Raises:
            MagkitError: none can be used.
        """
        try:
            return self._replacing.first(len(self), index, self._read, self.listing.place)
        except MagkitError as error:
            text = f"{self.listing.location} {self._failure}: {error.message}"
            raise MagkitError(text) from error

    def _read(self, number: int) -> torch.Tensor:
        place = self.listing.place(number)
        return self._cache.get(place, lambda: self._decode(self._reader.read(place), place))
