"""Every item once an epoch, in an order that belongs to seed, key and epoch alone."""

from hypothesis import given
from hypothesis import strategies as st

from magkit.runtime.seeds import epoch_order


@given(st.integers(1, 20), st.integers(0, 60), st.integers(0, 30), st.integers(0, 99))
def test_epochs_are_whole_and_parts_are_those_of_the_whole(
    count: int, start: int, length: int, seed: int
) -> None:
    whole = epoch_order(range(5 * count), count, seed, 1)
    for epoch in range(5):
        seen = whole[epoch * count : (epoch + 1) * count]
        assert {there for there, _ in seen} == {epoch}
        assert sorted(number for _, number in seen) == list(range(count))
    places = [place for place in range(start, start + length) if place < 5 * count]
    assert epoch_order(places, count, seed, 1) == [whole[place] for place in places]


def test_orders_differ() -> None:
    orders = {tuple(epoch_order(range(20), 20, seed, key)) for seed in (0, 1) for key in (1, 2)}
    epochs = [number for _, number in epoch_order(range(40), 20, 0, 1)]
    assert len(orders) == 4
    assert epochs[:20] != epochs[20:]
