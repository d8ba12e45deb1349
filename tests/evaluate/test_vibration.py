"""Vibrations whose tone, width and place are known."""

import math
from typing import Any

import numpy as np
import pytest

from magkit.errors import MagkitError, UsageError
from magkit.evaluate.vibration import Patch, find_patch, measure, patches_at

RATE, TONE, LENGTH = 60.0, 7.3, 48


def filmed(amplitude: float, axis: str, tone: float = TONE) -> list[Any]:
    """A soft blob that swings over a shaded wall, 96 x 80 pixels, with a little noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:80, :96].astype(float)
    frames = []
    for index in range(LENGTH):
        shift = amplitude * math.sin(2 * math.pi * tone * index / RATE)
        dx, dy = (shift, 0.0) if axis == "x" else (0.0, shift)
        blob = np.exp(-(((x - 60 - dx) ** 2 + (y - 34 - dy) ** 2) / 60))
        luma = 90 + 0.2 * x + 100 * blob + rng.normal(0, 0.3, x.shape)
        frames.append(np.repeat(luma.round().clip(0, 255).astype(np.uint8)[..., None], 3, 2))
    return frames


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("place", [None, (40, 14, 40, 40)])
def test_tone_and_growth(axis: str, place: tuple[int, int, int, int] | None) -> None:
    patch, found = measure(filmed(0.8, axis), filmed(3.2, axis), RATE, place)
    assert patch.axis == axis
    assert patch.left < 60 < patch.right
    assert patch.top < 34 < patch.bottom
    assert found.frequency_before == pytest.approx(TONE, abs=0.1)
    assert found.frequency_error == pytest.approx(0, abs=0.05)
    assert found.amplitude_before == pytest.approx(0.8, rel=0.05)
    assert found.growth == pytest.approx(4, rel=0.05)
    assert found.correlation_after > 0.98


def test_another_tone_is_an_error_of_the_tone() -> None:
    _, found = measure(filmed(0.8, "x"), filmed(3.2, "x", TONE + 1.5), RATE)
    assert found.as_dict()["tone_error"] == pytest.approx(1.5, abs=0.1)
    assert found.growth < 2


def test_the_patch_stays_in_a_small_clip() -> None:
    small = [frame[20:50, 40:80] for frame in filmed(2.0, "x")]
    assert find_patch(small) == Patch(0, 30, 0, 40, "x")


def test_what_can_not_be_measured() -> None:
    frames = filmed(1.0, "x")
    still = [frames[0]] * LENGTH
    for place in (None, (10, 10, 20, 20)):
        with pytest.raises(MagkitError, match="nothing moves"):
            measure(still, still, RATE, place)
    with pytest.raises(MagkitError, match="too short"):
        measure(frames[:8], frames[:8], RATE)
    for wrong in ((90, 0, 20, 20), (-1, 0, 20, 20), (0, 0, 4, 20)):
        with pytest.raises(UsageError):
            patches_at(wrong, frames[0])
