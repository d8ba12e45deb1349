"""Files of one folder, local or remote, read through fsspec with size limits."""

from __future__ import annotations

from typing import Any

import fsspec

from magkit.errors import MagkitError
from magkit.synth.storage import filesystem


class Store:
    """The files of a folder, by relative names with forward slashes.

    fsspec's drivers raise exceptions of their own types, so that all are caught.

    Args:
        location: a local path, or a URL that fsspec reads: `gs://`, `s3://`, `https://`.

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
        except Exception as error:
            raise MagkitError(f"{location} is no place that can be read: {error}") from error

    def __str__(self) -> str:
        return self.location

    def path(self, name: str = "") -> str:
        """Return a file's full name for messages."""
        return f"{self.location}/{name}" if name else self.location

    def has(self, name: str) -> bool:
        """Return whether a file exists.

        Raises:
            MagkitError: the location can't be reached.
        """
        try:
            return bool(self._files.isfile(self._full_path(name)))
        except Exception as error:
            raise self._read_error(name, error) from error

    def read(self, name: str, most: int) -> bytes:
        """Return a whole file of at most `most` bytes.

        Raises:
            MagkitError: it can't be read, or is longer.
        """
        return self.read_range(name, 0, None, most)

    def read_range(self, name: str, start: int, size: int | None, most: int) -> bytes:
        """Return `size` bytes from offset `start`, or all that follow, at most `most`.

        Raises:
            MagkitError: they can't be read, are too many, or the file ends too early.
        """
        if size is not None and size > most:
            raise MagkitError(f"{self.path(name)} holds {size} bytes where {most} are the most")
        asked = most + 1 if size is None else size
        try:
            with self._files.open(self._full_path(name), "rb", **_cache_options(size)) as file:
                file.seek(start)
                found = bytes(file.read(asked))
        except Exception as error:
            raise self._read_error(name, error) from error
        if size is None and len(found) > most:
            raise MagkitError(f"{self.path(name)} is longer than {most} bytes")
        if size is not None and len(found) < size:
            raise MagkitError(f"{self.path(name)} is cut off")
        return found

    def open(self, name: str) -> Any:
        """Open a file for reading.

        Raises:
            MagkitError: there is none.
        """
        try:
            return self._files.open(self._full_path(name), "rb")
        except Exception as error:
            raise self._read_error(name, error) from error

    def list(self, name: str) -> list[str]:
        """Return the names in a folder.

        Raises:
            MagkitError: there is no such folder.
        """
        try:
            found = self._files.ls(self._full_path(name), detail=False)
        except Exception as error:
            raise self._read_error(name, error) from error
        return [_base_name(path) for path in found]

    def sizes(self, name: str) -> dict[str, int | None]:
        """Return the names in a folder and their sizes in bytes, if known; {} without a folder.

        Raises:
            MagkitError: the location can't be reached.
        """
        try:
            found = self._files.ls(self._full_path(name), detail=True)
        except FileNotFoundError:
            return {}
        except Exception as error:
            raise self._read_error(name, error) from error
        return {_base_name(info["name"]): info.get("size") for info in found}

    def _full_path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}" if name else self._root

    def _read_error(self, name: str, error: BaseException) -> MagkitError:
        if isinstance(error.__cause__, MagkitError):  # wrapped by a driver
            return error.__cause__
        if isinstance(error, FileNotFoundError):
            return MagkitError(f"there is no {self.path(name)}")
        said = str(error) or type(error).__name__
        return MagkitError(f"{self.path(name)} can't be read: {said}")


def _base_name(path: object) -> str:
    return str(path).replace("\\", "/").rstrip("/").rpartition("/")[2]


def _cache_options(size: int | None) -> dict[str, Any]:
    # A known range is requested without read-ahead.
    return {"cache_type": "none"} if size is not None else {}
