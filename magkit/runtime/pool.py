"""A map over independent items by several processes, and the log records of workers."""

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

_records: SimpleQueue[logging.LogRecord] = SimpleQueue()


def log_level() -> int:
    """Return the level of magkit's loggers, for `collect_records` in workers."""
    return logging.getLogger("magkit").getEffectiveLevel()


def collect_records(level: int) -> None:
    """Collect the log records of this process from now on; called once at a worker's start.

    Args:
        level: of magkit's loggers: the parent's `log_level()`.
    """
    logging.getLogger("magkit").setLevel(level)
    logging.getLogger().addHandler(QueueHandler(_records))


def collected_records() -> list[logging.LogRecord]:
    """Return the picklable records since the last call; none outside of workers."""
    return [_records.get() for _ in range(_records.qsize())]


def replay_records(records: Iterable[logging.LogRecord]) -> None:
    """Handle a worker's records in this process."""
    for record in records:
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)


PREFETCH = 3  # items submitted for each process: one at work, two waiting

T = TypeVar("T")
R = TypeVar("R")
Done = tuple[R | MagkitError, list[logging.LogRecord]]


def map_unordered(
    work: Callable[[T], R], items: Iterable[T], processes: int, hint: str = ""
) -> Iterator[R]:
    """Yield `work(item)` of all items as they finish, in any order.

    One process means this one. Workers get `work` once, and a single torch thread each; memory is
    bounded however many items there are. Their log records are handled in this process.

    Args:
        work: a picklable function.
        items: consumed as they are needed.
        processes: number of processes.
        hint: of the error if a process is killed.

    Raises:
        MagkitError: `work` raised it, or a process was killed.
    """
    if processes <= 1:
        yield from map(work, items)
        return
    queue = iter(items)
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, spawn, _Worker.start, (work, log_level()))
    waiting: set[Future[Done[R]]] = set()
    try:
        while True:
            room = processes * PREFETCH - len(waiting)
            waiting |= {pool.submit(_Worker.run, item) for item in islice(queue, room)}
            if not waiting:
                return
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                result, records = future.result()
                replay_records(records)
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
    """The function of a worker process: sent once, as it may be large."""

    work: Callable[[T], R]

    @classmethod
    def start(cls, work: Callable[[T], R], level: int) -> None:
        cls.work = staticmethod(work)
        collect_records(level)
        # Ctrl-C reaches all processes of a terminal; the parent shuts the workers down.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_end_with_parent, daemon=True).start()
        if torch := sys.modules.get("torch"):  # imported with `work` if it needs it
            torch.set_num_threads(1)

    @classmethod
    def run(cls, item: T) -> Done[R]:
        try:
            return cls.work(item), collected_records()
        except MagkitError as error:  # returned, so that what was logged before it isn't lost
            return error, collected_records()


def _end_with_parent() -> None:
    # A parent that is killed can't end its workers, which would wait for items for ever.
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
