"""Files under one place, local or in a bucket, read through fsspec and never without a bound."""

from __future__ import annotations

from typing import Any

import fsspec

from magkit.errors import MagkitError
from magkit.synth.storage import filesystem

FAILURES = Exception
"""What file systems raise: their drivers have types of their own."""


class Store:
    """A place and what lies under it; names are magkit's own, with forward slashes.

    Args:
        location: a local path, or a URL that fsspec knows: `gs://`, `s3://`, `https://`.

    Raises:
        MagkitError: there is no driver for the URL.
    """

    def __init__(self, location: str) -> None:
        self.location = location.rstrip("/") or "/"
        name = self.location.partition("://")[0].lower()
        if name in ("http", "https"):
            self._files, self._root = filesystem(name), self.location
            return
        try:
            self._files, self._root = fsspec.core.url_to_fs(self.location)
        except ImportError as error:
            raise MagkitError(f"{location} can't be read: {error}") from error
        except FAILURES as error:
            raise MagkitError(f"{location} is no place that can be read: {error}") from error

    def __str__(self) -> str:
        return self.location

    def path(self, name: str = "") -> str:
        """Return how the file is called in a message."""
        return f"{self.location}/{name}" if name else self.location

    def has(self, name: str) -> bool:
        """Return whether there is such a file.

        Raises:
            MagkitError: the place can't be reached.
        """
        try:
            return bool(self._files.isfile(self._inner(name)))
        except FAILURES as error:
            raise self._problem(name, error) from error

    def read(self, name: str, most: int) -> bytes:
        """Return a whole file of at most `most` bytes.

        Raises:
            MagkitError: it can't be read, or is longer.
        """
        return self.read_range(name, 0, None, most)

    def read_range(self, name: str, start: int, size: int | None, most: int) -> bytes:
        """Return `size` bytes from `start` on, or all that follow, at most `most`.

        Raises:
            MagkitError: they can't be read, are too many, or the file ends before them.
        """
        if size is not None and size > most:
            raise MagkitError(f"{self.path(name)} holds {size} bytes where {most} are the most")
        asked = most + 1 if size is None else size
        try:
            with self._files.open(self._inner(name), "rb", **_exact(size)) as file:
                file.seek(start)
                found = bytes(file.read(asked))
        except FAILURES as error:
            raise self._problem(name, error) from error
        if size is None and len(found) > most:
            raise MagkitError(f"{self.path(name)} is longer than {most} bytes")
        if size is not None and len(found) < size:
            raise MagkitError(f"{self.path(name)} is cut off")
        return found

    def open(self, name: str) -> Any:
        """Open a file to read bytes from.

        Raises:
            MagkitError: there is none.
        """
        try:
            return self._files.open(self._inner(name), "rb")
        except FAILURES as error:
            raise self._problem(name, error) from error

    def list(self, name: str) -> list[str]:
        """Return the names of what lies in a folder.

        Raises:
            MagkitError: there is no such folder.
        """
        try:
            found = self._files.ls(self._inner(name), detail=False)
        except FAILURES as error:
            raise self._problem(name, error) from error
        return [_last(path) for path in found]

    def sizes(self, name: str) -> dict[str, int | None]:
        """Return the names of what lies in a folder with their sizes in bytes, where known.

        Raises:
            MagkitError: the place can't be reached.
        """
        try:
            found = self._files.ls(self._inner(name), detail=True)
        except FileNotFoundError:
            return {}
        except FAILURES as error:
            raise self._problem(name, error) from error
        return {_last(info["name"]): info.get("size") for info in found}

    def _inner(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}" if name else self._root

    def _problem(self, name: str, error: BaseException) -> MagkitError:
        if isinstance(error.__cause__, MagkitError):  # a driver hides it
            return error.__cause__
        if isinstance(error, FileNotFoundError):
            return MagkitError(f"there is no {self.path(name)}")
        said = str(error) or type(error).__name__
        return MagkitError(f"{self.path(name)} can't be read: {said}")


def _last(path: object) -> str:
    return str(path).replace("\\", "/").rstrip("/").rpartition("/")[2]


def _exact(size: int | None) -> dict[str, Any]:
    # Where a range is known, a bucket is asked for it alone, not for megabytes ahead of it.
    return {"cache_type": "none"} if size is not None else {}
