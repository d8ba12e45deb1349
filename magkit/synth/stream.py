"""Batches of scenes rendered on demand for training, and a loader with worker processes."""

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
from magkit.synth.render import Sources, render
from magkit.synth.scene import SceneConfig, draw_scene
from magkit.synth.triplets import CLEAN, Degradation, Triplets, degrade

B_co = TypeVar("B_co", covariant=True)


class SceneBatches(Dataset[Triplets]):
    """Batch `step` holds scenes `step * batch` and on: a pure function of its arguments.

    Args:
        config: how scenes are drawn.
        sources: what they are made of.
        seed: of scenes and noise.
        batch: scenes in a batch.
        steps: number of batches.
        degradation: of A, B and C.
    """

    def __init__(
        self,
        config: SceneConfig,
        sources: Sources,
        seed: int,
        batch: int,
        steps: int,
        degradation: Degradation = CLEAN,
    ) -> None:
        self.config, self.sources = config, sources
        self.seed, self.batch, self.steps = seed, batch, steps
        self.degradation = degradation

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Triplets:
        counts = len(self.sources.pictures), len(self.sources.cutouts)
        indices = range(step * self.batch, (step + 1) * self.batch)
        scenes = [draw_scene(self.config, *counts, self.seed, index) for index in indices]
        batch = render(scenes, self.config, self.sources)
        return degrade(batch, self.degradation, self.seed, step)


class BatchSequence(Protocol[B_co]):
    """Batches with random access: each is a function of its index."""

    def __len__(self) -> int: ...

    def __getitem__(self, step: int) -> B_co: ...


Batches = BatchSequence[Triplets]


def load_batches(batches: BatchSequence[B_co], start: int, workers: int) -> Iterator[B_co]:
    """Yield batches from step `start` on, rendered by `workers` processes, or in this one if 0.

    The number of workers changes no batch.

    Raises:
        MagkitError: a picture can't be read, or a worker was killed.
    """
    data = DataLoader(
        _LoggedBatches(batches),
        batch_size=None,
        sampler=range(start, len(batches)),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="spawn" if workers else None,
        collate_fn=_identity,
        worker_init_fn=partial(_start_worker, pool.level()),
    )
    with _ignore_interrupts():
        items = iter(data)
    try:
        for item, records in items:
            pool.replay(records)
            if isinstance(item, MagkitError):
                raise item
            yield item
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        hint = "out of memory? fewer --workers need less"
        raise MagkitError("a process that rendered scenes was ended from outside", hint) from error


class _LoggedBatches(Dataset[Any]):
    """Returns batches with their log records; a MagkitError is returned, not raised.

    Raised in a worker, it would arrive as a traceback's text.
    """

    def __init__(self, batches: BatchSequence[Any]) -> None:
        self.batches = batches

    def __getitem__(self, step: int) -> tuple[Any, list[logging.LogRecord]]:
        try:
            return self.batches[step], pool.kept_records()
        except MagkitError as error:
            return error, pool.kept_records()


def _identity(batch: Any) -> Any:
    return batch


def _start_worker(level: int, worker: int) -> None:
    del worker
    pool.keep_records(level)
    torch.set_num_threads(1)
    # SIGTERM often reaches all processes of a job: the main process handles it.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))


@contextmanager
def _ignore_interrupts() -> Iterator[None]:
    """Let processes started within ignore Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
