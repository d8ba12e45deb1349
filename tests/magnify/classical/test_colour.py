"""Eulerian colour magnification against its formula, and on a simulated pulse."""

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from magkit.errors import UsageError
from magkit.magnify.band import Band
from magkit.magnify.load import load_magnifier
from magkit.magnify.pipeline import magnify

Frame = NDArray[np.uint8]
RATE, COUNT, PULSE = 10.0, 80, 1.25  # per second; frames; Hz
FACTOR, AMPLITUDE, COLOUR = 40.0, 0.5, (0.4, 1.0, 0.2)  # of green, grey levels
PATCH = np.s_[:, 64:]
INSIDE = np.s_[32:64, 104:120]
STILL = np.s_[32:64, 8:24]


def clip(amplitude: float) -> Iterator[Frame]:
    """A textured patch that pulses beside one that doesn't, with the noise of a camera."""
    rng = np.random.default_rng(0)
    ground = 120 + 15 * ndimage.gaussian_filter(rng.standard_normal((96, 128)), 1.5)
    for number in range(COUNT):
        frame = np.repeat(ground[..., None], 3, 2)
        beat = amplitude * np.sin(2 * np.pi * PULSE * number / RATE)
        frame[PATCH] += beat * np.array(COLOUR)
        yield (frame + rng.standard_normal(frame.shape)).round().clip(0, 255).astype(np.uint8)


@cache
def magnified(amplitude: float) -> NDArray[np.uint8]:
    colour = load_magnifier("colour")
    return np.array([*magnify(clip(amplitude), colour, FACTOR, band=Band(0.7, 3.0), rate=RATE)])


def amplitudes(frames: Frame, where: tuple[slice, slice]) -> NDArray[np.float64]:
    """Return the amplitude of each colour at the frequency of the pulse, in the second half."""
    values = frames[COUNT // 2 :, where[0], where[1]].mean((1, 2))
    wave = np.exp(-2j * np.pi * PULSE / RATE * np.arange(len(values)))
    found: NDArray[np.float64] = 2 * np.abs((values * wave[:, None]).mean(0))
    return found


def test_a_pulse_of_half_a_grey_level_is_seen() -> None:
    made = magnified(AMPLITUDE)
    expected = FACTOR * AMPLITUDE * np.array(COLOUR)
    np.testing.assert_allclose(amplitudes(made, INSIDE), expected, rtol=0, atol=0.05 * expected[1])
    assert amplitudes(made, STILL).max() < 0.05 * expected.max()


def test_a_still_clip_stays_still() -> None:
    made, before = magnified(0.0), np.array([*clip(0.0)])
    change = (made.astype(float) - before)[:, 16:-16, 16:-16]
    # The blur leaves a thirtieth of the noise, and the band a part of that: 40 times it is 1.
    assert change.std() < 1.2
    still = [next(clip(0.0))] * 20
    colour = load_magnifier("colour")
    shown = magnify(still, colour, FACTOR, band=Band(0.7, 3.0), rate=RATE)
    assert all(np.array_equal(frame, still[0]) for frame in shown)


@pytest.mark.parametrize("level", [1, 3])
@pytest.mark.parametrize("factor", [0.0, 2.5, 30.0])
def test_it_adds_the_interpolated_change_of_scipys_blur(level: int, factor: float) -> None:
    a, b = torch.rand(2, 1, 3, 64, 96, dtype=torch.float64)
    colour = load_magnifier("colour", options=[f"level={level}"])
    motion = colour.motion(colour.encode(a), colour.encode(b))
    made = colour.render(colour.encode(b), motion, torch.tensor([factor], dtype=torch.float64))
    taps = np.array([1, 4, 6, 4, 1]) / 16
    change = (b - a)[0, 0].numpy()
    for _ in range(level):
        for axis in (0, 1):
            change = ndimage.correlate1d(change, taps, axis, mode="mirror")
        change = change[::2, ::2]
    np.testing.assert_allclose(motion[0, 0], change, atol=1e-12)
    for _ in range(level):
        sparse = np.zeros([2 * side for side in change.shape])
        sparse[::2, ::2] = change
        for axis in (0, 1):
            sparse = ndimage.correlate1d(sparse, 2 * taps, axis, mode="mirror")
        change = sparse
    inside = np.s_[: 64 - 3 * 2**level, : 96 - 3 * 2**level]
    expected = b[0, 0].numpy() + (factor - 1) * change
    np.testing.assert_allclose(made[0, 0][inside], expected[inside], atol=1e-10)


def test_an_even_change_is_amplified_exactly() -> None:
    a = torch.rand(1, 3, 64, 64)
    colour = load_magnifier("colour")
    b = a + torch.tensor([0.01, 0.02, -0.01]).view(1, 3, 1, 1)
    motion = colour.motion(colour.encode(a), colour.encode(b))
    made = colour.render(colour.encode(b), motion, torch.tensor([11.0]))
    torch.testing.assert_close(made, a + 11 * (b - a), atol=1e-4, rtol=0)


@pytest.mark.parametrize("option", ["level=0", "level=9", "level=x"])
def test_options_that_make_no_sense(option: str) -> None:
    with pytest.raises(UsageError):
        load_magnifier("colour", options=[option])


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (41, 66)])
def test_any_size_through_the_pipeline(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    frames = [rng.integers(100, 140, (*size, 3)).astype(np.uint8) for _ in range(3)]
    made = list(magnify(frames, load_magnifier("colour"), 3.0))
    assert [frame.shape for frame in made] == [(*size, 3)] * 3
