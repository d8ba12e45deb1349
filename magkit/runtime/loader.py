"""Batches in order, made ahead by worker processes."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from magkit.errors import MagkitError
from magkit.runtime import pool

B_co = TypeVar("B_co", covariant=True)


class BatchSequence(Protocol[B_co]):
    """Batches by their number: each is a pure function of it."""

    def __len__(self) -> int: ...

    def __getitem__(self, step: int) -> B_co: ...


def load_batches(batches: BatchSequence[B_co], start: int, workers: int) -> Iterator[B_co]:
    """Yield batches from step `start` on, in order, made by `workers` other processes.

    Without workers this process makes them. The number of workers changes no batch.

    Raises:
        MagkitError: a picture can't be read, or a worker was killed.
    """
    data = DataLoader(
        _Logged(batches),
        batch_size=None,
        sampler=range(start, len(batches)),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="spawn" if workers else None,
        collate_fn=_identity,
        worker_init_fn=partial(_start_worker, pool.log_level()),
    )
    with _sigint_ignored():
        items = iter(data)
    try:
        for item, records in items:
            pool.replay_records(records)
            if isinstance(item, MagkitError):
                raise item
            yield item
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        hint = "out of memory? fewer --workers need less"
        raise MagkitError("a process that rendered scenes was ended from outside", hint) from error


class _Logged(Dataset[Any]):
    """Returns batches and what was logged while they were made.

    Errors are items too: raised in a worker, they would arrive as a traceback's text.
    """

    def __init__(self, batches: BatchSequence[Any]) -> None:
        self.batches = batches

    def __getitem__(self, step: int) -> tuple[Any, list[logging.LogRecord]]:
        try:
            return self.batches[step], pool.collected_records()
        except MagkitError as error:
            return error, pool.collected_records()


def _identity(batch: Any) -> Any:
    return batch


def _start_worker(level: int, worker: int) -> None:
    del worker
    pool.collect_records(level)
    torch.set_num_threads(1)
    # SIGTERM often reaches all processes of a job. The first of them handles it; a worker that
    # seems to have failed would get in its way.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


@contextmanager
def _sigint_ignored() -> Iterator[None]:
    """Let processes started meanwhile ignore Ctrl-C, which ends the one that started them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
