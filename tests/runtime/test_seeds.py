"""Draws that depend on their seed and key alone."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from magkit.runtime.seeds import derived_seed, generator

keys = st.lists(st.integers(0, 2**63), min_size=1, max_size=4)


def draw(*key: int) -> list[float]:
    drawn: list[float] = torch.rand(4, generator=generator(*key)).tolist()
    return drawn


def test_a_draw_does_not_depend_on_what_was_drawn_before() -> None:
    first = draw(0, 3, 7)
    torch.manual_seed(5)
    torch.rand(10)
    assert draw(0, 3, 7) == first


@given(keys, keys)
def test_other_keys_give_other_seeds(one: list[int], other: list[int]) -> None:
    assert (derived_seed(*one) == derived_seed(*other)) == (one == other)


@given(keys)
def test_seeds_fit_where_seeds_go(key: list[int]) -> None:
    assert 0 <= derived_seed(*key) < 2**63


def test_shorter_keys_are_other_keys() -> None:
    drawn = [draw(1), draw(1, 0), draw(1, 0, 0), draw(0, 1), draw(10), draw(2**32, 1)]
    assert len({tuple(one) for one in drawn}) == len(drawn)


def test_draws_stay_the_same_between_versions() -> None:
    assert derived_seed(0) == 4761921975702974394
