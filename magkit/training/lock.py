"""One process at a time in a folder, for as long as the process lives."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from magkit.errors import MagkitError

_HELD = {errno.EAGAIN, errno.EACCES, errno.EDEADLK}


@contextmanager
def locked(
    folder: Path,
    name: str = ".lock",
    doing: str = "training in",
    hint: str = "wait for it, or start another training with --new",
) -> Iterator[Callable[[], bool]]:
    """Hold `folder` against other processes until the block ends.

    Yields a function that tells whether the lock is still there: it isn't once somebody removed
    its file, and then other processes no longer see it.

    The operating system lets go when the process dies, however it dies: there is no lock left
    over to clear away. Where a file system knows no locks, nothing is held.

    Args:
        folder: what is held.
        name: of the file in it that is locked; processes with other names don't meet.
        doing: what such a process does to the folder, for the message.
        hint: what to do when another process holds it.

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
