"""Regressions against NumPy, and displacements where least squares are exact."""

import numpy as np
import pytest
import torch

from magkit.selfsup.motion_probe import RIDGES, displacements, explained_variance, ridge_regression


def test_ridge_regression_is_numpys() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 5, 7)) * rng.uniform(0.1, 9, 7) + 3, rng.normal(size=(16, 5, 2))
    y = y + x[..., :2]
    read, mean, judged = (
        t.numpy() for t in ridge_regression(torch.from_numpy(x), torch.from_numpy(y))
    )
    flat, targets = x[:8].reshape(-1, 7), y[:8].reshape(-1, 2)
    z = (flat - flat.mean(0)) / flat.std(0)
    draw_boxes = []
    for ridge in RIDGES:
        gram = z.T @ z + len(z) * ridge * np.eye(7)
        weights = np.linalg.solve(gram, z.T @ (targets - targets.mean(0)))
        asked = (x[8:] - flat.mean(0)) / flat.std(0)
        draw_boxes.append(asked @ weights + targets.mean(0))
    assert min(np.abs(read - candidate).max() for candidate in draw_boxes) < 1e-9
    np.testing.assert_allclose(mean, targets.mean(0))
    np.testing.assert_array_equal(judged, y[8:])


def test_many_useless_features_are_shrunk_away() -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.randn(16, 2, 40, generator=random, dtype=torch.float64)
    y = torch.randn(16, 2, 1, generator=random, dtype=torch.float64)
    read, mean, judged = ridge_regression(x, y)
    assert (read - judged).square().mean() < 1.2 * (mean - judged).square().mean()


def test_displacements_of_slopes() -> None:
    """A plane that moves by d changes by -d times its slope: two planes tell both directions."""
    y, x = torch.meshgrid(*[torch.arange(12, dtype=torch.float64)] * 2, indexing="ij")
    slopes = [(0.3, 0.1), (-0.2, 0.4), (0.0, 0.0)]
    before = torch.stack([a * x + b * y for a, b in slopes])[None]
    after = torch.stack([a * (x - 0.25) + b * (y + 0.5) for a, b in slopes])[None]
    found = displacements(before, after, 2)
    assert found.shape == (1, 4, 2, 2, 2)
    torch.testing.assert_close(
        found[0, -1], torch.tensor([0.25, -0.5]).double().expand(2, 2, 2), rtol=0.01, atol=0
    )
    assert not found[0, 2].any(), "nothing is seen, nothing moves"
    # One slope alone tells the part along it.
    along = torch.tensor(slopes[0]).double() / np.hypot(*slopes[0])
    part = (found[0, 0] @ along).mean().item()
    assert part == pytest.approx(0.25 * along[0].item() - 0.5 * along[1].item(), rel=0.01)


def test_alike_targets_have_nothing_to_explain() -> None:
    assert explained_variance(torch.rand(8, 2, 2, 2), torch.ones(8, 3, 2, 2)) == 0
