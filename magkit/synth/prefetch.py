"""Reads files that lie elsewhere ahead of time, many at once: one by one takes too long."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

from magkit.errors import MagkitError
from magkit.synth.storage import is_local, read_bytes

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
