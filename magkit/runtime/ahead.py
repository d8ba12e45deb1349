"""Iteration that runs ahead of its consumer, in other threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import NoReturn, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


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


def map_ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    start: Callable[[], object] | None = None,
) -> Iterator[Result]:
    """Apply a function to items in several threads, and return the results in order.

    As many calls as there are threads run ahead. Items are made in the consumer's thread.

    Args:
        function: what is called, at the same time in different threads.
        items: its arguments.
        workers: number of threads.
        start: called once in each thread before its first item.

    Raises:
        Exception: whatever the function or the iterator raises, after the results before it.
    """
    pending: deque[Future[Result]] = deque()
    calls = _calls(function, items)
    with ThreadPoolExecutor(workers, "ahead", start) as threads:
        try:
            for call in calls:
                pending.append(threads.submit(call))
                del call
                if len(pending) == workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for each in pending:
                each.cancel()
            wait(pending)
            close(calls)


def _calls(
    function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Callable[[], Result]]:
    """Yield a call for each item, and one that raises what the iterator raises."""
    iterator = iter(items)
    try:
        for item in iterator:
            yield partial(function, item)
            del item
    except Exception as error:
        yield partial(_raise, error)
    finally:
        close(iterator)


def _raise(error: Exception) -> NoReturn:
    raise error


def close(iterator: Iterator[object]) -> None:
    """End a generator; other iterators have no end to come to."""
    getattr(iterator, "close", lambda: None)()
