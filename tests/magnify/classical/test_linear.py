"""Linear Eulerian magnification against its formulas."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from magkit.errors import UsageError
from magkit.magnify.classical import expand, laplacian_pyramid, reduce
from magkit.magnify.load import load_magnifier
from magkit.magnify.pipeline import magnify

X = torch.arange(128, dtype=torch.float32)


def wave(length: float, shift: float = 0.0) -> torch.Tensor:
    return (0.5 + 0.3 * torch.cos(2 * math.pi * (X - shift) / length)).expand(1, 3, 128, 128)


def magnified(a: torch.Tensor, b: torch.Tensor, factor: float, *options: str) -> torch.Tensor:
    linear = load_magnifier("linear", options=options)
    motion = linear.motion(linear.encode(a), linear.encode(b))
    return linear.render(linear.encode(b), motion, torch.tensor([factor]))


@settings(max_examples=10, deadline=None)
@given(st.integers(4, 70), st.integers(4, 70))
def test_the_pyramid_adds_up(height: int, width: int) -> None:
    picture = torch.rand(1, 2, height, width)
    bands = laplacian_pyramid(picture)
    whole = bands[-1]
    for band in reversed(bands[:-1]):
        whole = expand(whole, band.shape[-2:]) + band
    torch.testing.assert_close(whole, picture)


@pytest.mark.parametrize("size", [(20, 26), (21, 27)])
def test_reduce_and_expand_are_scipys(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).random(size)
    taps = np.array([1, 4, 6, 4, 1]) / 16
    smooth = picture
    for axis in (0, 1):
        smooth = ndimage.correlate1d(smooth, taps, axis, mode="mirror")
    small = reduce(torch.from_numpy(picture)[None, None])
    np.testing.assert_allclose(small[0, 0], smooth[::2, ::2], atol=1e-12)
    sparse = np.zeros(size)
    sparse[::2, ::2] = smooth[::2, ::2]
    for axis in (0, 1):
        sparse = ndimage.correlate1d(sparse, 2 * taps, axis, mode="mirror")
    inside = (slice(2, -3), slice(2, -3))
    np.testing.assert_allclose(expand(small, size)[0, 0][inside], sparse[inside], atol=1e-12)


@pytest.mark.parametrize("factor", [0.0, 0.5, 3.0, 20.0])
def test_without_a_cutoff_it_is_the_change_times_alpha(factor: float) -> None:
    a, b = torch.rand(2, 1, 3, 37, 52)
    made = magnified(a, b, factor, "cutoff=0")
    torch.testing.assert_close(made, b + (factor - 1) * (b - a), atol=1e-4, rtol=1e-5)


def test_a_long_wave_moves_as_far_as_was_asked() -> None:
    # Within the bound: 5 * 0.2 px is far below 64 / 8 px.
    made = magnified(wave(64), wave(64, 0.2), 5.0)
    error = (made - wave(64, 1.0))[..., 16:-16, 16:-16].abs().max()
    moved = (wave(64, 1.0) - wave(64, 0.2)).abs().max()
    assert error < 0.12 * moved


def test_short_waves_are_amplified_as_the_paper_says() -> None:
    linear = load_magnifier("linear")
    for length, factor in ((2.0, 21.0), (4.0, 21.0), (16.0, 21.0), (32.0, 5.0), (3.0, 2.0)):
        wide = (1 + (factor - 1)) * length / 16 - 1
        asked = torch.tensor([factor])
        exact = min(max(wide, 0.0), factor - 1)
        gain = linear.gain(asked, length)  # type: ignore[attr-defined]
        assert gain.item() == pytest.approx(exact, abs=1e-5)


def test_what_is_removed_is_removed_at_every_wavelength() -> None:
    a, b = torch.rand(2, 1, 3, 36, 52)
    torch.testing.assert_close(magnified(a, b, 0.0), a)


def test_no_motion_no_change() -> None:
    a = torch.rand(1, 3, 33, 45)
    assert (magnified(a, a, 50.0) - a).abs().max() < 1 / 255


def test_colour_may_stay_behind() -> None:
    a, b = torch.rand(2, 1, 3, 16, 16)
    weights = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    change = ((b - a) * weights).sum(1, keepdim=True)
    made = magnified(a, b, 4.0, "cutoff=0", "chroma=0")
    torch.testing.assert_close(made, b + 3 * change, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("option", ["cutoff=-1", "cutoff=inf", "chroma=2"])
def test_options_that_make_no_sense(option: str) -> None:
    with pytest.raises(UsageError):
        load_magnifier("linear", options=[option])


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3), (41, 18)])
def test_any_size_through_the_pipeline(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    picture = rng.integers(10, 240, (*size, 3))
    clip = [(picture + rng.integers(-6, 7, picture.shape)).astype(np.uint8) for _ in range(3)]
    frames = list(magnify(clip, load_magnifier("linear"), 3.0))
    assert [frame.shape for frame in frames] == [(*size, 3)] * 3
    still = list(magnify(clip, load_magnifier("linear"), 0.0))
    assert all(np.abs(frame.astype(int) - clip[0]).max() <= 1 for frame in still)
