"""Losses of vectors and their gradients against NumPy in double precision."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from magkit.selfsup.modules import cosine_distances, info_nce, normalized

Array = NDArray[np.float64]


def directions(count: int, seed: int) -> Array:
    rows = np.random.default_rng(seed).normal(size=(count, 6))
    made: Array = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return made


def close(found: torch.Tensor | None, expected: Array) -> None:
    assert found is not None
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("others", [0, 1, 11])
def test_info_nce_and_its_gradient(count: int, others: int) -> None:
    """The gradient is sum_j (softmax_j - [j = 0]) key_j / (T N)."""
    q, k, negatives = directions(count, 0), directions(count, 1), directions(others, 2)
    keys = np.concatenate([k[:, None], np.broadcast_to(negatives, (count, others, 6))], 1)
    logits = np.einsum("nd,njd->nj", q, keys) / 0.2
    softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    wrong = softmax - np.eye(1, others + 1)
    given = torch.tensor(q, requires_grad=True)
    loss = info_nce(given, torch.tensor(k), torch.tensor(negatives), 0.2)
    close(loss, -np.log(softmax[:, 0]).mean())
    torch.autograd.backward(loss)
    close(given.grad, np.einsum("nj,njd->nd", wrong, keys) / 0.2 / count)


def test_a_key_is_not_its_own_negative() -> None:
    """A perfect match at T = .07 against others at right angles costs next to nothing."""
    q = torch.eye(4, dtype=torch.double)
    assert info_nce(q[:1], q[:1], q[1:], 0.07) < 1e-5


def test_distances_and_their_gradient() -> None:
    """The gradient of 2 - 2 cos(p, z) in p is -2 (z' - cos p') / |p|."""
    rng = np.random.default_rng(0)
    p, z = rng.normal(size=(5, 6)), rng.normal(size=(5, 6))
    lengths = np.linalg.norm(p, axis=1, keepdims=True)
    p1, z1 = p / lengths, z / np.linalg.norm(z, axis=1, keepdims=True)
    cosines = (p1 * z1).sum(1, keepdims=True)
    given = torch.tensor(p, requires_grad=True)
    found = cosine_distances(given, torch.tensor(z))
    close(found, 2 - 2 * cosines[:, 0])
    close(found, ((p1 - z1) ** 2).sum(1))
    torch.autograd.backward(found.sum())
    close(given.grad, -2 * (z1 - cosines * p1) / lengths)


def test_lightlys_losses_are_the_same() -> None:
    reference = pytest.importorskip("lightly.loss")
    q, k = (torch.tensor(directions(4, seed), requires_grad=not seed) for seed in range(2))
    contrast = reference.NTXentLoss(temperature=0.2, memory_bank_size=(8, 6)).double()
    others = contrast.memory_bank.bank.clone()
    theirs, ours = contrast(q, k), info_nce(normalized(q), k, others, 0.2)
    close(ours, theirs.detach().numpy())
    gradients = [torch.autograd.grad(loss, q)[0] for loss in (ours, theirs)]
    close(gradients[0], gradients[1].numpy())
    close(cosine_distances(q, k).mean(), 2 + 2 * reference.NegativeCosineSimilarity()(q, k).item())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_left_before_anything_is_lost(dtype: torch.dtype) -> None:
    rows = torch.randn(16, 64).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        vectors = normalized(rows)
        loss = info_nce(vectors, vectors, normalized(torch.randn(32, 64)), 0.2)
        apart = cosine_distances(rows, rows)
    assert vectors.dtype == loss.dtype == apart.dtype == torch.float32
    torch.testing.assert_close(vectors, F.normalize(rows.float(), dim=1))
    assert apart.abs().max() < 1e-6
