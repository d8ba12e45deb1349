"""Independent items worked on by several processes, and the log records of those."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from logging.handlers import QueueHandler
from queue import SimpleQueue
from typing import Generic, TypeVar

from magkit.errors import MagkitError

_kept: SimpleQueue[logging.LogRecord] = SimpleQueue()


def level() -> int:
    """Return the level of magkit's loggers, which a worker is to be started with."""
    return logging.getLogger("magkit").getEffectiveLevel()


def keep_records(level: int) -> None:
    """Keep what this process logs from now on; called once, where a worker starts.

    Args:
        level: of magkit's loggers, as the parent's `level` returned it.
    """
    logging.getLogger("magkit").setLevel(level)
    logging.getLogger().addHandler(QueueHandler(_kept))


def kept_records() -> list[logging.LogRecord]:
    """Return what was kept since the last call; it can be pickled. Empty outside of workers."""
    return [_kept.get() for _ in range(_kept.qsize())]


def replay(records: Iterable[logging.LogRecord]) -> None:
    """Handle a worker's records in this process."""
    for record in records:
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)


AHEAD = 3  # items a process that are handed out: one at work, two waiting

T = TypeVar("T")
R = TypeVar("R")
Done = tuple[R | MagkitError, list[logging.LogRecord]]


def each_done(
    work: Callable[[T], R], items: Iterable[T], processes: int, hint: str = ""
) -> Iterator[R]:
    """Yield `work(item)` of all items as they are done, in any order.

    With one process it is this one. Others are given `work` once, and a single torch thread each;
    memory is bounded however many items there are. What they log is handled in this process.

    Args:
        work: can be pickled, and raises a MagkitError for what the user can mend.
        items: taken as they are needed.
        processes: how many there are to be.
        hint: what to do where a process is killed.

    Raises:
        MagkitError: a process was ended from outside.
    """
    if processes <= 1:
        yield from map(work, items)
        return
    queue = iter(items)
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, spawn, _Worker.start, (work, level()))
    waiting: set[Future[Done[R]]] = set()
    try:
        while True:
            room = processes * AHEAD - len(waiting)
            waiting |= {pool.submit(_Worker.run, item) for item in islice(queue, room)}
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                result, records = future.result()
                replay(records)
                if isinstance(result, MagkitError):
                    raise result
                yield result
    except BrokenProcessPool as error:
        killed = "a process at work was killed, perhaps for want of memory"
        raise MagkitError(killed, hint) from error
    finally:
        # On the way out of an error or Ctrl-C nothing new is begun.
        pool.shutdown(cancel_futures=True)


class _Worker(Generic[T, R]):
    """What a process of the pool works on: given once, as it may be large."""

    work: Callable[[T], R]

    @classmethod
    def start(cls, work: Callable[[T], R], level: int) -> None:
        cls.work = staticmethod(work)
        keep_records(level)
        # Ctrl-C reaches all processes of a terminal; the first of them sees to the others.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_end_with_parent, daemon=True).start()
        if torch := sys.modules.get("torch"):  # which work that needs it has imported by now
            torch.set_num_threads(1)

    @classmethod
    def run(cls, item: T) -> Done[R]:
        try:
            return cls.work(item), kept_records()
        except MagkitError as error:  # returned, so that what was logged before it isn't lost
            return error, kept_records()


def _end_with_parent() -> None:
    # One that is killed outright can't end its processes, which would wait for items for ever.
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
