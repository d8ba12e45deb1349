"""Contrast and correspondence against NumPy in double precision, and what must not matter."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from magkit_densecl.losses import correspondence, info_nce
from numpy.typing import NDArray

from magkit.toolkit import normalized

Array = NDArray[np.float64]
seeds = st.integers(0, 2**32 - 1)


def directions(*shape: int, seed: int) -> Array:
    rows = np.random.default_rng(seed).normal(size=shape)
    made: Array = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return made


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("temperature", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("count", [1, 5])
def test_contrast_and_its_gradient(count: int, temperature: float) -> None:
    """The gradient is sum_j (softmax_j - [j = 0]) key_j / (T N)."""
    query, own = directions(count, 6, seed=0), directions(count, 6, seed=1)
    others = directions(11, 6, seed=2)
    keys = np.concatenate([own[:, None], np.broadcast_to(others, (count, 11, 6))], 1)
    logits = np.exp(np.einsum("nd,njd->nj", query, keys) / temperature)
    softmax = logits / logits.sum(1, keepdims=True)
    given_ = torch.tensor(query, requires_grad=True)
    loss = info_nce(given_, torch.tensor(own), torch.tensor(others), temperature)
    close(loss, -np.log(softmax[:, 0]).mean())
    torch.autograd.backward(loss)
    assert given_.grad is not None
    wrong = softmax - np.eye(1, 12)
    close(given_.grad, np.einsum("nj,njd->nd", wrong, keys) / temperature / count)


def test_contrast_is_exact_where_an_exponential_would_not_be() -> None:
    """At T = 0.001, exp(1 / T) is no number any more."""
    one = torch.eye(3)
    assert info_nce(one[:1], one[:1], one[1:], 0.001).item() == 0
    lost = info_nce(one[:1], one[1:2], one[:1], 0.001)
    assert lost.item() == pytest.approx(1000)


def test_correspondence_is_the_greatest_cosine() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(4, 7, 5)), rng.normal(size=(4, 9, 5))
    expected = np.empty((4, 7), dtype=int)
    for picture in range(4):
        for place in range(7):
            f = first[picture, place]
            cosines = [f @ g / np.linalg.norm(f) / np.linalg.norm(g) for g in second[picture]]
            expected[picture, place] = np.argmax(cosines)
    found = correspondence(torch.tensor(first), torch.tensor(second))
    assert found.tolist() == expected.tolist()


@settings(deadline=None, max_examples=30)
@given(seed=seeds, count=st.integers(1, 4), places=st.integers(1, 12))
def test_a_views_own_copy_corresponds_to_itself(seed: int, count: int, places: int) -> None:
    """However its places are ordered, and however strong their features are."""
    features = torch.tensor(directions(count, places, 8, seed=seed))
    rng = torch.Generator().manual_seed(seed)
    order = torch.randperm(places, generator=rng)
    strength = 0.1 + 10 * torch.rand(count, places, 1, generator=rng, dtype=torch.double)
    found = correspondence(features, (features * strength)[:, order])
    assert torch.equal(order[found], torch.arange(places).expand(count, places))


@settings(deadline=None, max_examples=30)
@given(seed=seeds, count=st.integers(1, 6))
def test_pictures_correspond_each_for_itself(seed: int, count: int) -> None:
    first = torch.tensor(directions(count, 6, 4, seed=seed))
    second = torch.tensor(directions(count, 5, 4, seed=seed + 1))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    found = correspondence(first, second)
    assert torch.equal(correspondence(first[order], second[order]), found[order])
    alone = torch.cat(
        [correspondence(f[None], s[None]) for f, s in zip(first, second, strict=True)]
    )
    assert torch.equal(alone, found)


def test_vectors_of_half_precision_are_normalised_in_single() -> None:
    found = normalized(torch.full((2, 3, 4), 300.0, dtype=torch.float16))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.full((2, 3, 4), 0.5))
    assert normalized(torch.zeros(1, 4)).isfinite().all()
