"""Files by place: on this machine, inside a zip, in a bucket or on the web.

A place is a text: a path, a URL (`gs://bucket/a.jpg`), or either of them with a member of a zip
(`photos.zip!/a.jpg`). What lies elsewhere is reached through fsspec; credentials are its drivers'
own business.
"""

from __future__ import annotations

import re
import time
import zipfile
import zlib
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import fsspec

from magkit.errors import MagkitError, UsageError

EXTRAS = {"gs": "gcs", "gcs": "gcs", "s3": "s3", "http": "http", "https": "http"}
SCHEMES = (*EXTRAS, "file", "memory")
MAX_BYTES = 128 << 20  # a larger file is refused
PAUSES = [0.5, 2.0]  # seconds before what couldn't be reached is tried again
IN_ZIP = "!/"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_MEMBER = re.compile(r"(.*?\.zip)!/(.*)", re.IGNORECASE | re.DOTALL)
_GONE = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
# What zipfile raises over damaged, encrypted and unsupported members.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, KeyError)


class UnreachableError(MagkitError):
    """A file that may be sound but can't be had: the fault may lie with its place."""


def scheme(place: str) -> str:
    """Return a URL's scheme in small letters, or "" for a path on this machine.

    Raises:
        UsageError: nothing reads such URLs.
    """
    found = _SCHEME.match(place)
    if not found:
        return ""
    name = found[1].lower()
    if name not in SCHEMES:
        known = ", ".join(f"{s}://" for s in SCHEMES)
        raise UsageError(f"{place}: {name}:// can't be read", f"paths, and {known}")
    return name


def filesystem(name: str) -> Any:
    """Return fsspec's file system for a scheme, one for the whole process.

    Raises:
        MagkitError: its driver isn't installed, or can't start.
    """
    try:
        return _filesystem(name)
    except ImportError as error:
        raise MagkitError(
            f"reading {name}:// needs a driver that is not installed",
            hint=f"pip install 'magkit[{EXTRAS[name]}]'",
        ) from error
    except Exception as error:  # drivers raise types of their own
        raise MagkitError(f"{name}:// can't be reached: {first_line(error)}") from error


@lru_cache
def _filesystem(name: str) -> Any:
    if name not in ("http", "https"):
        return fsspec.filesystem(name)
    from magkit.synth.web import open_session  # its driver may not be installed

    return fsspec.filesystem(name, get_client=open_session)


def open_place(place: str) -> IO[bytes]:
    """Open a file that is no zip's member, to be read from any position on.

    Raises:
        MagkitError: there is none, or it can't be reached.
    """
    name = scheme(place)
    try:
        if not name:
            return Path(place).open("rb")
        stream: IO[bytes] = filesystem(name).open(place, "rb", block_size=1 << 18)
        return stream
    except MagkitError:
        raise
    except FileNotFoundError as error:
        raise _missing(place, error) from error
    except Exception as error:  # drivers raise types of their own
        raise MagkitError(f"{place} can't be opened: {first_line(error)}") from error


@lru_cache(maxsize=8)
def archive(place: str) -> zipfile.ZipFile:
    """Open a zip, which stays open for the process.

    Raises:
        MagkitError: there is none, or it is damaged.
    """
    try:
        return zipfile.ZipFile(open_place(place))
    except (OSError, *_DAMAGED) as error:
        raise MagkitError(f"{place} is not a zip file that can be read: {error}") from error


def read_bytes(place: str, limit: int = MAX_BYTES) -> bytes:
    """Read a whole file, unless it holds more than `limit` bytes.

    Raises:
        MagkitError: it is too large, damaged or not there.
        UnreachableError: what holds it did not answer, however often it was asked.
    """
    data = read_start(place, limit + 1)
    if len(data) > limit:
        raise MagkitError(f"{place} is too large: more than {limit >> 20} MB")
    return data


def read_start(place: str, size: int) -> bytes:
    """Read the first `size` bytes of a file, or all of a smaller one.

    Raises:
        MagkitError: it is damaged or not there.
        UnreachableError: what holds it did not answer, however often it was asked.
    """
    for pause in (*PAUSES, 0.0):
        try:
            return _read(place, size)
        except MagkitError:
            raise
        except Exception as error:  # drivers raise types of their own
            if is_local(place) or _for_good(error, place):
                raise MagkitError(f"{place} can't be read: {first_line(error)}") from error
            last = error
            time.sleep(pause)
    raise UnreachableError(f"{place} can't be reached: {first_line(last)}") from last


def _read(place: str, limit: int) -> bytes:
    if inside := _MEMBER.fullmatch(place):
        with archive(inside[1]).open(inside[2]) as stream:
            return stream.read(limit)
    name = scheme(place)
    if not name:
        with Path(place).open("rb") as file:
            return file.read(limit)
    if name not in ("http", "https"):
        return bytes(filesystem(name).cat_file(place, 0, limit))
    # A stream, as a server may ignore the range of bytes asked for; given a size, fsspec doesn't
    # ask for it with a request of its own.
    data = bytearray()
    with filesystem(name).open(place, "rb", block_size=0, size=1) as web:
        while len(data) < limit and (piece := web.read(min(limit - len(data), 1 << 20))):
            data += piece
    return bytes(data)


def _missing(place: str, error: FileNotFoundError) -> MagkitError:
    # fsspec's driver of the web says so whatever kept it from looking.
    why = error.__cause__
    return why if isinstance(why, MagkitError) else MagkitError(f"there is no file {place}")


def _for_good(error: Exception, place: str) -> bool:
    """Tell whether asking again is of no use: the file is gone, damaged or refused."""
    if isinstance(error, _GONE) or (_MEMBER.fullmatch(place) and isinstance(error, _DAMAGED)):
        return True
    status = getattr(error, "status", None) or getattr(error, "code", None)
    return isinstance(status, int) and 400 <= status < 500 and status not in (408, 429)


def is_local(place: str) -> bool:
    """Tell whether a place lies on this machine's disks, by itself or in a zip."""
    return not _SCHEME.match(place)


def on_disk(place: str) -> bool:
    """Tell whether a place is a path of a file by itself."""
    return is_local(place) and not _MEMBER.fullmatch(place)


def version(place: str) -> str:
    """Return a text that differs once the file has changed, without reading it.

    Raises:
        MagkitError: there is no such file, or it can't be reached.
    """
    name = scheme(place)
    try:
        if not name:
            stat = Path(place).stat()
            return f"{stat.st_size} {stat.st_mtime_ns}"
        system = filesystem(name)
        size, key = system.info(place).get("size"), system.ukey(place)
    except MagkitError:
        raise
    except FileNotFoundError as error:
        raise _missing(place, error) from error
    except Exception as error:  # drivers raise types of their own
        raise MagkitError(f"{place} can't be reached: {first_line(error)}") from error
    return f"{size} {sha256(str(key).encode()).hexdigest()}"


def absolute(place: str) -> str:
    """Return a place that holds from every folder."""
    return place if scheme(place) else str(Path(place).absolute())


def first_line(error: BaseException) -> str:
    """Return what an exception says, cut to a line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
