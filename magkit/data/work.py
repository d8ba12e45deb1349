"""The folder in which a data set is written: one for each plan, with locks against others.

    .NAME.unfinished/
      0123456789abcdef/    work of the plan with this hash
        data/              what becomes the data set
        records/           what is said about each unit; one is done when its record is there
        .lock-1-of-2       held while the first of two shares is written

Work of two plans never mixes, whoever starts or ends when: it lies in two folders. A process that
holds the whole (1 of 1) holds every share. A share is held first, and only then is it looked
whether somebody holds the whole: of the two, at least one sees the other.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from magkit.data import plan as plans
from magkit.data.plan import Plan
from magkit.errors import MagkitError
from magkit.runtime.atomic import atomic_path
from magkit.runtime.share import Share
from magkit.training.lock import locked

PATIENCE = 2.0  # seconds: a lock may be held for a moment by who looks at it or clears away
DATA, RECORDS, LOCK = "data", "records", ".lock-"
WHOLE = Share()

T = TypeVar("T")


def work_folder(folder: Path, plan: Plan) -> Path:
    """Return where the data set of a plan is written that will appear at `folder`."""
    return folder.with_name(f".{folder.name}.unfinished") / plan.fingerprint[:16]


def clear_the_way(work: Path, *, overwrite: bool) -> None:
    """Remove what other plans left beside `work`, and what can't be gone on with.

    Args:
        work: as `work_folder` returns it.
        overwrite: whether unfinished work of other plans is thrown away.

    Raises:
        MagkitError: there is such work, and it is to be kept or a process is writing it.
    """
    beside = work.parent.iterdir() if work.parent.is_dir() else ()
    for other in sorted(path for path in beside if path != work and path.is_dir()):
        if _begun(other) and not overwrite:
            problem = f"{other} holds unfinished work with other settings or sources"
            raise MagkitError(problem, "the same ones finish it; --overwrite throws it away")
        _patiently(partial(_discard, other))
    # Records without data: a process was killed just after it had moved the data to their place.
    if not _begun(work) and _has_records(work):
        _patiently(partial(_discard, work, unless=_begun))


@contextmanager
def held(work: Path, share: Share, plan: Plan) -> Iterator[None]:
    """Hold a share of the work, or with all of them the whole, until the block ends.

    Raises:
        MagkitError: another process holds it.
    """
    with _patiently(partial(_entered, work, share)):
        path = work / DATA / plans.FILE
        if not path.is_file():
            with atomic_path(path, overwrite=True) as temporary:
                temporary.write_text(plan.text(), encoding="utf-8")
        yield
    if sys.platform == "win32" and not (work / RECORDS).exists():
        _remove_locks(work)  # which it does not while they are open


def remove(work: Path) -> None:
    """Remove work that this process holds as a whole."""
    # Records first: what has none is written again, should this be stopped in between.
    for name in (RECORDS, DATA):
        shutil.rmtree(work / name, ignore_errors=True)
    _remove_locks(work)


def _begun(work: Path) -> bool:
    return (work / DATA / plans.FILE).is_file()


def _has_records(work: Path) -> bool:
    records = work / RECORDS
    return records.is_dir() and any(records.iterdir())


def _patiently(attempt: Callable[[], T]) -> T:
    """Return what an attempt gives, which is made again for a moment while it is refused."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return attempt()
        except MagkitError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _entered(work: Path, share: Share) -> ExitStack:
    try:
        for name in (DATA, RECORDS):
            (work / name).mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            is_there = stack.enter_context(_lock(work, _name(share)))
            if share.count == 1:
                _enter_all(stack, work)
            else:
                with _lock(work, _name(WHOLE)):
                    pass
            # Whoever held the whole until now may have removed the lock of the share.
            if not is_there():
                raise FileNotFoundError(work)
            return stack.pop_all()
    except (FileNotFoundError, FileExistsError) as error:  # mkdir says either
        problem = f"another process removed {work} while this one began"
        raise MagkitError(problem, "start it once more") from error


def _discard(work: Path, unless: Callable[[Path], bool] = lambda _: False) -> None:
    with suppress(FileNotFoundError), ExitStack() as stack:  # another process may be as quick
        stack.enter_context(_lock(work, _name(WHOLE)))
        _enter_all(stack, work)
        if not unless(work):
            remove(work)
    if sys.platform == "win32":
        _remove_locks(work)


def _enter_all(stack: ExitStack, work: Path) -> None:
    """Take the locks of all shares, beside that of the whole."""
    for path in sorted(work.glob(f"{LOCK}*")):
        if path.name != LOCK + _name(WHOLE):
            stack.enter_context(_lock(work, path.name.removeprefix(LOCK)))


def _name(share: Share) -> str:
    return f"{share.number}-of-{share.count}"


def _lock(work: Path, name: str) -> AbstractContextManager[Callable[[], bool]]:
    return locked(work, LOCK + name, "writing", "wait until it has ended")


def _remove_locks(work: Path) -> None:
    """Remove the locks and, where they are empty then, the folders."""
    for path in work.glob(f"{LOCK}*"):
        with suppress(OSError):
            path.unlink()
    for folder in (work, work.parent):
        with suppress(OSError):
            folder.rmdir()
