"""What runs ahead gives the same items, in its own thread, and ends when its consumer does."""

import threading
from collections.abc import Iterator

import pytest

from magkit.runtime.ahead import ahead, close


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
