"""Computes the steps of magnification in threads, so many at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Semaphore
from typing import Any, TypeVar

import torch

from magkit.runtime.ahead import ahead, close, map_ahead
from magkit.runtime.device import Precision, autocast

_T = TypeVar("_T")
_R = TypeVar("_R")

STEPS = 4  # that compute at a time: frames are encoded, measured two at a time, and rendered


class Stages:
    """The steps of magnification, each of which may run ahead of the next in a thread.

    A step is faster with one thread than with two, as most operations are too short to share.
    """

    def __init__(self, device: torch.device, precision: Precision, concurrent: bool) -> None:
        self.threads = torch.get_num_threads()
        self.device, self.precision, self.concurrent = device, precision, concurrent
        # The number of steps that compute at a time: no more threads than were asked for.
        self.slots = Semaphore(min(self.threads, STEPS) if device.type == "cpu" else 1)
        self.start = partial(torch.set_num_threads, max(1, self.threads // STEPS))
        self.running: list[Iterator[Any]] = []

    @contextmanager
    def turn(self) -> Iterator[None]:
        """See `motion.Work`."""
        with self.slots, torch.inference_mode(), autocast(self.device, self.precision):
            yield

    def map(self, function: Callable[[_T], _R], items: Iterable[_T]) -> Iterator[_R]:
        """See `motion.Work`."""

        def call(item: _T) -> _R:
            with self.turn():
                return function(item)

        return map_ahead(call, items, 2, self.start) if self.concurrent else map(call, items)

    def split(self, items: Iterable[_T]) -> Iterator[_T]:
        """Iterate over the items of a step in a thread of its own."""
        if not self.concurrent:
            return iter(items)
        self.running.append(ahead(items, self.start))
        return self.running[-1]

    def close(self) -> None:
        """End the threads, the last step's first, and let torch use as many as before."""
        for step in reversed(self.running):
            close(step)
        if self.running:
            torch.set_num_threads(self.threads)
