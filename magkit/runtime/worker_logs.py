"""Log records of worker processes, handled by the process that started them.

A spawned worker has none of its parent's handlers and levels. It keeps what it logs, and hands the
records over with its next item; the parent handles them as if they were its own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from logging.handlers import QueueHandler
from queue import SimpleQueue

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
