"""Shares of work."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magkit.errors import UsageError
from magkit.runtime.shard import Shard, launched_shard, parse_shard, processor_count


@given(st.integers(1, 20), st.integers(0, 100))
def test_every_item_is_of_exactly_one_share(count: int, item: int) -> None:
    assert sum(item in parse_shard(f"{n}/{count}") for n in range(1, count + 1)) == 1


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "-1/4", "1/0", "a/b", "1/4/2", "1.5/2"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(UsageError):
        parse_shard(text)


def test_what_torchrun_says() -> None:
    assert launched_shard({}) == Shard(1, 1)
    assert launched_shard({"RANK": "2", "WORLD_SIZE": "4"}) == Shard(3, 4)
    for rank in ("4", "-1", "x"):
        with pytest.raises(UsageError, match="torchrun"):
            launched_shard({"RANK": rank, "WORLD_SIZE": "4"})


def test_processors_are_split_with_neighbours() -> None:
    every = processor_count({})
    assert every >= 1
    assert processor_count({"LOCAL_WORLD_SIZE": "2"}) == max(1, every // 2)
    assert processor_count({"LOCAL_WORLD_SIZE": "1000000"}) == 1
    assert processor_count({"LOCAL_WORLD_SIZE": "what"}) == every
