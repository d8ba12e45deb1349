"""Iteration that runs ahead of its consumer, in another thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterable[Item], start: Callable[[], object] | None = None) -> Iterator[Item]:
    """Iterate in a thread of its own, which makes the next item while this one is used.

    The thread makes one item ahead. The iterator is closed after the last item, after an error, and
    when this generator is closed, which waits for the item in progress.

    Args:
        items: what is iterated.
        start: called once in the thread before the first item.

    Raises:
        Exception: whatever the iterator raises, after the items before it.
    """
    end = object()
    with ThreadPoolExecutor(1, "ahead", start) as thread:
        iterator = iter(items)
        coming = thread.submit(next, iterator, end)
        try:
            while (item := coming.result()) is not end:
                coming = thread.submit(next, iterator, end)
                yield item  # type: ignore[misc]
                del item
        finally:
            wait([coming])
            close(iterator)


def close(iterator: Iterator[object]) -> None:
    """End a generator; other iterators have no end to come to."""
    getattr(iterator, "close", lambda: None)()
