"""The tracker that judges the tuning fork is judged itself, on prongs whose motion is known."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from magkit.evaluate.vibration import Vibration

RATE, TONE, LENGTH = 250.0, 31.8, 200
SIZE = (72, 168)
TIPS = {"left": 54.3, "right": 113.8}


@pytest.fixture(scope="module")
def fork() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "fork.py"))


def filmed(amplitude: float, noise: float = 1.0) -> list[NDArray[np.uint8]]:
    """Two upright bars 14 wide, darker than a shaded wall, that swing against each other.

    Their edges are exact: a pixel is darkened by the part that a bar covers of the 3 pixels that a
    lens blurs together there.
    """
    rng = np.random.default_rng(5)
    rows = np.arange(SIZE[0])[:, None]
    wall = 205 + 0.08 * np.arange(SIZE[1]) + 0 * rows
    swing = amplitude * np.cos(2 * np.pi * TONE / RATE * np.arange(LENGTH) + 0.6)
    frames = []
    for at in swing:
        bars = covered(TIPS["left"] + at) + covered(TIPS["right"] - at)
        luma = wall - np.where(rows > 10, 90 * bars, 0) + rng.normal(0, noise, SIZE)
        frames.append(np.repeat(luma.round().clip(0, 255).astype(np.uint8)[..., None], 3, 2))
    return frames


def covered(centre: float, half: float = 7.0, lens: float = 3.0) -> NDArray[np.float64]:
    left = np.arange(SIZE[1]) + 0.5 - lens / 2
    right = left + lens
    share = (np.minimum(right, centre + half) - np.maximum(left, centre - half)).clip(0) / lens
    return np.asarray(share, np.float64)


def test_each_prong_is_found(fork: dict[str, Any]) -> None:
    left, right = fork["find_prongs"](filmed(2.0))
    for patch, centre in ((left, TIPS["left"]), (right, TIPS["right"])):
        assert patch.left <= centre - 8
        assert patch.right >= centre + 8
        assert patch.right - patch.left < 34
        assert patch.top >= 6


@pytest.mark.parametrize("amplitude", [0.1, 0.5, 2.1, 6.0, 10.0])
def test_tone_and_amplitude_are_those_of_the_motion(fork: dict[str, Any], amplitude: float) -> None:
    small, large = filmed(2.0), filmed(amplitude)
    # The template of both is the first frame of the small motion, as it is for a magnified clip.
    patches = fork["find_prongs"](small)
    before = fork["track"](small[0], small, patches)
    after = fork["track"](small[0], large, patches)
    for old, new in zip(before, after, strict=True):
        prong = fork["compare"](old, new, RATE)
        assert prong.frequency_before == pytest.approx(TONE, abs=0.02)
        assert prong.frequency_after == pytest.approx(TONE, abs=0.05)
        assert prong.amplitude_before == pytest.approx(2.0, rel=0.02)
        assert prong.growth == pytest.approx(amplitude / 2.0, rel=0.03, abs=0.005)


def test_the_prongs_move_against_each_other(fork: dict[str, Any]) -> None:
    frames = filmed(3.0)
    left, right = fork["track"](frames[0], frames, fork["find_prongs"](frames))[:, 0]
    assert np.corrcoef(left, right)[0, 1] < -0.99


def test_a_fork_out_of_tune_or_too_wide_does_not_pass(fork: dict[str, Any]) -> None:
    prong, passes = Vibration, fork["passes"]
    assert passes(prong(31.8, 32.2, 2.0, 9.0, 1.0, 0.9))
    assert not passes(prong(31.8, 32.4, 2.0, 9.0, 1.0, 0.9))
    assert not passes(prong(31.8, 31.8, 2.0, 12.5, 1.0, 0.9))
    assert not passes(prong(31.8, 31.8, 2.0, 7.5, 1.0, 0.9))
