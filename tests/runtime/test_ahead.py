"""What runs ahead gives the same items, in other threads, and ends when its consumer does."""

import threading
import time
from collections.abc import Iterator

import pytest

from magkit.runtime.ahead import ahead, close, map_ahead


class Source:
    """Counts from 0 to `count`, then raises `error`; notes its threads and its end."""

    def __init__(self, count: int, error: BaseException | None = None) -> None:
        self.count, self.error = count, error
        self.made, self.closed = 0, False
        self.threads: set[int] = set()

    def __iter__(self) -> Iterator[int]:
        try:
            for number in range(self.count):
                self.threads.add(threading.get_ident())
                self.made = number + 1
                yield number
            if self.error is not None:
                raise self.error
        finally:
            self.closed = True


@pytest.mark.parametrize("count", [0, 1, 5])
def test_all_items_come_in_order_from_one_other_thread(count: int) -> None:
    source = Source(count)
    assert list(ahead(source)) == list(range(count))
    assert len(source.threads) == min(count, 1)
    assert threading.get_ident() not in source.threads
    assert list(ahead(range(count))) == list(range(count))  # not a generator


def test_one_item_is_made_ahead_and_no_more() -> None:
    source = Source(9)
    for number in ahead(source):
        assert source.made <= number + 2
    ready = threading.Event()

    def told() -> Iterator[int]:
        yield 0
        ready.set()
        yield 1

    items = ahead(told())
    assert next(items) == 0
    assert ready.wait(10)  # without being asked for the next item
    assert list(items) == [1]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_an_error_comes_after_the_items_before_it(error: BaseException) -> None:
    source = Source(3, error)
    seen: list[int] = []
    with pytest.raises(type(error)) as caught:
        seen.extend(ahead(source))
    assert caught.value is error
    items = ahead(Source(3, error))
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    assert source.closed


def test_closing_closes_the_source_and_ends_the_thread() -> None:
    before, source = threading.active_count(), Source(1000)
    items = ahead(source)
    assert [next(items), next(items)] == [0, 1]
    close(items)
    assert source.closed
    assert source.made <= 3
    assert threading.active_count() == before


def test_nothing_runs_before_the_first_item_is_asked_for() -> None:
    before = threading.active_count()
    source = Source(2)
    started: list[int] = []
    items = ahead(source, lambda: started.append(threading.get_ident()))
    assert threading.active_count() == before
    assert source.made == 0
    assert list(items) == [0, 1]
    assert set(started) == source.threads


@pytest.mark.parametrize("count", [0, 1, 2, 7])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_order_of_the_items(count: int, workers: int) -> None:
    def slow_if_even(number: int) -> int:
        time.sleep(0.01 * (number % 2 == 0))
        return number**2

    source = Source(count)
    assert list(map_ahead(slow_if_even, source, workers)) == [n**2 for n in range(count)]
    assert source.closed


def test_as_many_calls_run_at_a_time_as_there_are_workers() -> None:
    meeting = threading.Barrier(3)

    def meet(number: int) -> int:
        meeting.wait(10)
        return number

    assert list(map_ahead(meet, range(6), 3)) == list(range(6))


def test_no_more_items_are_taken_than_workers_use() -> None:
    source = Source(9)
    for number in map_ahead(int, source, 2):
        assert source.made <= number + 2


def test_workers_are_prepared_before_their_first_item() -> None:
    ready: set[int] = set()

    def prepared(_: int) -> bool:
        return threading.get_ident() in ready

    assert all(map_ahead(prepared, range(8), 2, lambda: ready.add(threading.get_ident())))


@pytest.mark.parametrize("where", ["function", "iterator"])
def test_what_fails_comes_after_the_results_before_it(where: str) -> None:
    error = ValueError("no")
    seen: list[int] = []

    def call(number: int) -> int:
        if where == "function" and number == 3:
            raise error
        return number

    source = Source(9 if where == "function" else 3, error)
    with pytest.raises(ValueError, match="no") as caught:
        seen.extend(map_ahead(call, source, 2))
    assert caught.value is error
    assert source.closed
    results = map_ahead(call, Source(9 if where == "function" else 3, error), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    close(results)


def test_closing_a_map_closes_the_source_and_ends_the_threads() -> None:
    ends, source = threading.Event(), Source(1000)
    workers: set[threading.Thread] = set()

    def call(number: int) -> int:
        workers.add(threading.current_thread())
        assert number == 0 or ends.wait(10)
        return number

    results = map_ahead(call, source, 2)
    assert next(results) == 0
    ends.set()
    close(results)
    assert source.closed
    assert source.made <= 3
    assert workers
    assert not any(worker.is_alive() for worker in workers)
