"""The files of a listing as tensors: read when needed, kept in a memo, replaced where broken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from magkit.errors import MagkitError
from magkit.synth.cache import TensorCache
from magkit.synth.listing import Listing
from magkit.synth.prefetch import Reader
from magkit.synth.readable import Replacing


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
