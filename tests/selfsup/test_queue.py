"""The ring of keys against a plain list, and a reference that loses some."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from magkit.errors import UsageError
from magkit.selfsup.moco import Queue


def keys(first: int, count: int) -> torch.Tensor:
    """Keys (count, 2) that hold their own numbers."""
    return torch.arange(first, first + count).float()[:, None].expand(count, 2)


@settings(deadline=None)
@given(size=st.integers(1, 9), counts=st.lists(st.integers(0, 9), max_size=12))
def test_it_holds_the_latest_keys_in_a_ring(size: int, counts: list[int]) -> None:
    queue, pushed = Queue(size, 2), 0
    expected = queue.vectors[:, 0].tolist()
    for count in counts:
        if count > size:
            with pytest.raises(UsageError, match=f"{count} keys don't fit a queue of {size}"):
                queue.push(keys(pushed, count))
            continue
        queue.push(keys(pushed, count))
        for number in range(pushed, pushed + count):
            expected[number % size] = number
        pushed += count
    assert queue.vectors[:, 0].tolist() == expected
    assert queue.place == pushed % size
    assert queue.filled == min(pushed, size) == len(queue.keys())


def test_it_starts_with_random_directions() -> None:
    queue = Queue(4000, 3)
    assert len(queue.keys()) == 0
    torch.testing.assert_close(queue.vectors.norm(dim=1), torch.ones(4000))
    assert queue.vectors.mean(0).abs().max() < 0.05


def test_all_of_it_is_saved() -> None:
    queue, other = Queue(5, 2), Queue(5, 2)
    queue.push(keys(0, 3))
    other.load_state_dict(queue.state_dict())
    for part in (queue, other):
        part.push(keys(3, 4))
    assert other.vectors[:, 0].tolist() == queue.vectors[:, 0].tolist() == [5, 6, 2, 3, 4]


def test_lightlys_bank_drops_what_does_not_fit_before_its_end() -> None:
    """Of 10 places, the third batch of 4 fills two; its other two keys are lost there."""
    bank = pytest.importorskip("lightly.models.modules.memory_bank").MemoryBankModule(size=(10, 2))
    queue = Queue(10, 2)
    for first in (0, 4, 8):
        bank(keys(first, 4), update=True)
        queue.push(keys(first, 4))
    assert queue.vectors[:, 0].tolist() == [10, 11, 2, 3, 4, 5, 6, 7, 8, 9]
    assert bank.bank[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert (int(queue.place), int(bank.bank_ptr)) == (2, 0)
    assert not bank.state_dict()
    assert np.array_equal(sorted(queue.state_dict()), ["filled", "place", "vectors"])
