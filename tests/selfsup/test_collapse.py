"""Measures of collapse against NumPy, lightly and closed forms."""

import math

import numpy as np
import pytest
import torch

from magkit.errors import MagkitError
from magkit.selfsup.monitor import CollapseStats, collapse_stats, collapse_warnings


def normal(n: int = 200, d: int = 16, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=random, dtype=torch.float64)


def test_against_numpy() -> None:
    x, y = normal(30, 5).numpy() + 0.5, normal(30, 5, seed=1).numpy()
    found = collapse_stats(torch.from_numpy(x), torch.from_numpy(y))
    u, v = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (x, y))
    assert found.spread == pytest.approx(u.std(0, ddof=1).mean(), rel=1e-12)
    assert found.alignment == pytest.approx(((u - v) ** 2).sum(1).mean(), rel=1e-12)
    pairs = [((u[i] - u[j]) ** 2).sum() for i in range(30) for j in range(i)]
    assert found.uniformity == pytest.approx(np.log(np.mean(np.exp(-2 * np.array(pairs)))))
    values = np.linalg.svd(x, compute_uv=False)
    shares = values / values.sum() + 1e-7
    assert found.rank == pytest.approx(np.exp(-(shares * np.log(shares)).sum()), rel=1e-12)
    assert (found.samples, found.dimensions, found.dead) == (30, 5, 0)


def test_spread_against_lightly() -> None:
    debug = pytest.importorskip("lightly.utils.debug", reason="lightly is not installed")
    for x in (normal(), normal(50, 8) + 3, normal(40, 4) * 1e-3):
        reference = float(debug.std_of_l2_normalized(x))
        assert collapse_stats(x).spread == pytest.approx(reference, rel=1e-9)


def test_all_directions() -> None:
    found = collapse_stats(normal(4000, 16))
    assert found.relative_spread == pytest.approx(1, rel=0.01)
    assert found.rank == pytest.approx(16, rel=0.01)
    assert found.alignment is None
    assert collapse_warnings(found) == []
    # Wang & Isola: E exp(-2 |x - y|^2) of independent points of a sphere, by its angles.
    t = np.linspace(-1, 1, 20001)
    weight = (1 - t**2) ** ((16 - 3) / 2)
    expected = np.log((np.exp(-4 + 4 * t) * weight).sum() / weight.sum())
    assert found.uniformity == pytest.approx(expected, abs=0.02)


def test_a_point() -> None:
    found = collapse_stats(torch.ones(64, 32) + 1e-3 * normal(64, 32))
    assert found.relative_spread < 0.01
    assert found.uniformity == pytest.approx(0, abs=1e-4)
    (said,) = collapse_warnings(found)
    assert said.startswith("embeddings are collapsing to a point")


def test_one_point_exactly() -> None:
    for value in (0.0, 1.0):
        found = collapse_stats(torch.full((8, 4), value), torch.full((8, 4), value))
        assert (found.spread, found.alignment, found.dead) == (0, 0, 1)
        assert all(math.isfinite(v) for v in found.as_dict().values() if v is not None)
        assert len(collapse_warnings(found)) == 2


def test_a_line() -> None:
    line = normal(64, 1) * normal(1, 32) + 1e-4 * normal(64, 32)
    found = collapse_stats(line)
    assert found.rank < 2
    (said,) = collapse_warnings(found)
    assert said.startswith("embeddings are collapsing to a line")


def test_dead_channels() -> None:
    x = normal(64, 32)
    x[:, 8:] = 0.3
    found = collapse_stats(x)
    assert found.dead == 0.75
    assert collapse_warnings(found) == [
        "75% of the channels are dead: the learning rate or the weight decay is too high"
    ]


def test_means_of_rectified_maps_are_no_collapse() -> None:
    """All positive, around a mean larger than what varies: as an untrained encoder's."""
    x = (normal(128, 32) + 1).relu().reshape(128, 32) + 1
    assert collapse_warnings(collapse_stats(x)) == []


def test_a_training_built_to_collapse_is_noticed() -> None:
    """Two views drawn together, with nothing that holds others apart."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 16))
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    x = torch.randn(128, 8)
    with torch.no_grad():
        assert collapse_warnings(collapse_stats(network(x))) == []
    for _ in range(300):
        loss = (network(x + 0.1) - network(x - 0.1).roll(1, 0)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert collapse_warnings(collapse_stats(network(x)))


def test_nothing_to_measure() -> None:
    with pytest.raises(MagkitError, match="at least two"):
        collapse_stats(torch.ones(1, 4))
    with pytest.raises(MagkitError, match="non-finite"):
        collapse_stats(torch.tensor([[1.0], [math.nan]]))
    assert isinstance(collapse_stats(normal(2, 1)), CollapseStats)
