"""The second renderer, against areas and means that are known."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="module")
def scenes() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "independent_scenes.py"))


@pytest.mark.parametrize("gaussian", [False, True])
def test_a_displaced_disc(scenes: dict[str, Any], gaussian: bool) -> None:
    def flat(value: float) -> Any:
        return lambda x, y: np.full((3, len(y), len(x)), value)

    still = np.array([[2.0, 0.0, 0.0]])
    disc = scenes["Thing"](flat(0.8), (90.0, 120.0), 25.0, still, (0.6, -0.8))
    picture = scenes["Picture"](flat(0.2), [disc], gaussian)
    np.testing.assert_allclose(picture.empty, 0.2, atol=1e-6)
    y, x = np.mgrid[:256, :256] + 0.5
    for length in (0.0, 0.05, 7.3):
        frame, mask = picture.frame(length)
        assert mask.sum() == pytest.approx(np.pi * 20**2, rel=1e-3)
        centre = [(mask * places).sum() / mask.sum() for places in (x, y)]
        assert centre == pytest.approx([90 + 0.6 * length, 120 - 0.8 * length], abs=0.003)
        np.testing.assert_allclose(frame, 0.2 + 0.6 * np.stack([mask] * 3), atol=1e-6)


def test_waves_are_sampled_where_they_are(scenes: dict[str, Any]) -> None:
    texture = scenes["wavy"](np.random.default_rng(0))
    x, y = np.linspace(0, 9, 31), np.linspace(3, 5, 7)
    whole = texture(x, y)
    assert whole.shape == (3, 7, 31)
    assert whole.min() >= 0
    assert whole.max() <= 1
    np.testing.assert_allclose(texture(x[5:9], y[2:3]), whole[:, 2:3, 5:9], atol=1e-12)
