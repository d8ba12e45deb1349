"""Draws belong to a frame, not to the batch it comes in."""

from random import Random

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from magkit.selfsup.views import AugmentationParams, draw_params


@settings(max_examples=30, deadline=None)
@given(
    frames=st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 10**9)), min_size=1, max_size=9, unique=True
    ),
    seed=st.integers(0, 2**63),
    random=st.randoms(),
)
def test_rows_do_not_depend_on_batch_and_order(
    frames: list[tuple[int, int]], seed: int, random: Random
) -> None:
    epochs, indices = torch.tensor(frames).T
    together = draw_params(seed, epochs, indices, 1, 2)
    order = list(range(len(frames)))
    random.shuffle(order)
    assert torch.equal(draw_params(seed, epochs[order], indices[order], 1, 2), together[order])
    alone = [draw_params(seed, epochs[n : n + 1], indices[n : n + 1], 1, 2) for n in order]
    assert torch.equal(torch.cat(alone), together[order])


def test_other_seeds_epochs_frames_and_keys_draw_otherwise() -> None:
    one = torch.tensor([1])
    rows = [
        draw_params(0, one, one),
        draw_params(1, one, one),
        draw_params(0, one + 1, one),
        draw_params(0, one, one + 1),
        draw_params(0, one, one, 0),
        draw_params(0, one, one, 1),
        draw_params(0, one, one, 0, 1),
    ]
    assert len({tuple(row) for row in torch.cat(rows).tolist()}) == len(rows)


def test_draws_are_uniform_and_unrelated() -> None:
    count = 3000
    rows = draw_params(5, torch.zeros(count).long(), torch.arange(count))
    assert rows.shape == (count, len(AugmentationParams._fields))
    assert min(kstest(column, "uniform").pvalue for column in rows.T) > 0.001
    related = torch.corrcoef(rows.T) - torch.eye(rows.shape[1])
    assert related.abs().max() < 0.08


def test_no_frames_have_no_draws() -> None:
    none = torch.tensor([], dtype=torch.long)
    assert draw_params(0, none, none).shape == (0, len(AugmentationParams._fields))
