"""Atomic writes, JSON records, file locks, file names within limits, and the cache folder."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from magkit.errors import MagkitError


def cache_folder() -> Path:
    """Return magkit's cache folder, which need not exist yet.

    `MAGKIT_CACHE` names it; the default is `magkit` in the user's cache folder.
    """
    if chosen := os.environ.get("MAGKIT_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "magkit"


LONGEST = 255  # bytes of a name, on every file system in common use


def fitted(stem: str, end: str, most: int = LONGEST) -> str:
    """Return `stem + end`, the stem cut between characters if both exceed `most` bytes.

    Args:
        stem: may be cut.
        end: is kept whole.
        most: bytes in all.
    """
    room = max(most - len(os.fsencode(end)), 0)
    whole = os.fsencode(stem)
    return (stem if len(whole) <= room else whole[:room].decode(errors="ignore")) + end


_WORK_NAME = 128  # bytes of a temporary name at most, however long that of the result is
_SUFFIX = 32  # bytes of a suffix that may mean a format
_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


@contextmanager
def atomic_path(
    final: Path, *, kind: Literal["file", "folder"] = "file", overwrite: bool = False
) -> Iterator[Path]:
    """Yield a temporary path beside `final`, and rename it to `final` when the block ends well.

    After any exception, Ctrl-C included, the temporary file or folder is removed and `final` stays
    as it was. Missing parent folders of `final` are made.

    Args:
        final: path of the result.
        kind: "file": the block creates the file itself, at a path of the same suffix;
            "folder": the path is an empty folder already.
        overwrite: whether an existing `final` is replaced; a folder with all its contents.

    Raises:
        MagkitError: `final` exists, or is a pipe or a device; or it can't be written.
    """
    suffix = final.suffix if len(os.fsencode(final.suffix)) <= _SUFFIX else ""
    temporary = _hidden_beside(final, suffix)
    created: list[Path] = []
    try:
        _refuse_existing(final, overwrite)
        _make_folders(final.parent, created)
        if kind == "folder":
            temporary.mkdir()
        yield temporary
        _refuse_existing(final, overwrite)
        replace_path(temporary, final)
    except BaseException as error:
        _remove(temporary)
        for folder in reversed(created):
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError) and (problem := _explain(error, final)) is not None:
            raise problem from error
        raise


def write_json(path: Path, record: Any, *, allow_nan: bool = True) -> None:
    """Write a record as JSON, in place of a file that is there.

    Raises:
        MagkitError: the file can't be written.
        ValueError: a number is not finite, and such numbers are not allowed.
    """
    text = json.dumps(record, indent=2, allow_nan=allow_nan) + "\n"
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_existing(final: Path, overwrite: bool) -> None:
    # A dangling link counts as well: renaming onto it would replace the link unasked.
    if not overwrite and (final.exists() or final.is_symlink()):
        raise MagkitError(f"{final} exists", hint="--overwrite replaces it")
    if final.exists() and not (final.is_file() or final.is_dir()):
        # Renaming would put a file in the place of a pipe, or of /dev/null.
        raise MagkitError(f"{final} is neither a file nor a folder: it is not replaced")


def _make_folders(folder: Path, created: list[Path]) -> None:
    missing = [f for f in (folder, *folder.parents) if not f.exists()]
    parent = missing[-1].parent if missing else folder
    if not parent.is_dir():
        raise MagkitError(f"{folder} can't be written to: {parent} is not a folder")
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        created.append(each)


def replace_path(temporary: Path, final: Path) -> None:
    """Rename; an existing folder is renamed first, as no system replaces one that isn't empty."""
    if not final.is_dir() or final.is_symlink():
        temporary.replace(final)
        return
    old = _hidden_beside(final)
    final.rename(old)
    try:
        temporary.rename(final)
    except BaseException:
        old.rename(final)
        raise
    _remove(old)


def _hidden_beside(final: Path, suffix: str = "") -> Path:
    """Return a new hidden path in the folder of `final`, with a similar name."""
    end = f"-{secrets.token_hex(4)}{suffix}"
    return final.with_name(fitted(f".{final.name.removesuffix(suffix)}", end, _WORK_NAME))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _explain(error: OSError, final: Path) -> MagkitError | None:
    if error.errno in _FULL:
        return MagkitError(f"the disk is full: {final} could not be written", hint="free some room")
    if error.errno == errno.ENAMETOOLONG:
        return MagkitError(
            f"{final} can't be written: its name is too long", "choose a shorter one"
        )
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}:
        return MagkitError(f"{final} can't be written: {error.strerror}")
    return None


def check_folder(folder: Path, names: Iterable[str], owner: str, *, overwrite: bool) -> None:
    """Refuse a folder of results that exists, unless it is to be overwritten and holds no others.

    Args:
        folder: need not exist.
        names: of the files that it may hold.
        owner: what writes them, for the message: "demo".
        overwrite: whether the folder may be replaced.

    Raises:
        MagkitError: it exists, or holds other files.
    """
    if not folder.exists():
        return
    if not overwrite:
        raise MagkitError(f"{folder} exists", "--overwrite replaces it, -o names another")
    allowed = set(names)
    if not folder.is_dir() or any(each.name not in allowed for each in folder.iterdir()):
        raise MagkitError(
            f"{folder} is more than an earlier {owner}'s folder: it is not overwritten",
            "-o names another",
        )


_HELD = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}


@contextmanager
def file_lock(
    folder: Path,
    name: str = ".lock",
    doing: str = "training in",
    hint: str = "wait for it, or start another training with --new",
) -> Iterator[Callable[[], bool]]:
    """Lock `folder` against other processes until the block ends.

    Yields a function that returns whether the lock is still valid: it isn't once its file was
    removed, since other processes then no longer see it.

    The operating system releases it when the process dies: no stale lock is left. On a file system
    without locks nothing is held.

    Args:
        folder: that is locked.
        name: of the lock file in it; locks of different names are independent.
        doing: the activity of a process that holds the lock, for the message.
        hint: of the message.

    Raises:
        MagkitError: another process holds the folder, or removed it meanwhile.
        FileNotFoundError: there is no such folder.
    """
    path = folder / name
    with path.open("a+b") as file:
        try:
            _lock(file.fileno())
        except OSError as error:
            if error.errno in _HELD:
                raise MagkitError(f"another process is {doing} {folder}", hint) from error
        if not _is_at(file.fileno(), path):
            raise MagkitError(f"another process removed {folder}", "start this once more")
        try:
            yield lambda: _is_at(file.fileno(), path)
        finally:
            with suppress(OSError):
                _unlock(file.fileno())


if sys.platform == "win32":
    import msvcrt

    def _lock(number: int) -> None:
        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)

    def _unlock(number: int) -> None:
        msvcrt.locking(number, msvcrt.LK_UNLCK, 1)

    def _is_at(number: int, path: Path) -> bool:
        del number, path
        return True  # Windows removes no file that is open

else:
    import fcntl

    def _lock(number: int) -> None:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(number: int) -> None:
        fcntl.flock(number, fcntl.LOCK_UN)

    def _is_at(number: int, path: Path) -> bool:
        try:
            return os.path.samestat(os.fstat(number), path.stat())
        except FileNotFoundError:
            return False
