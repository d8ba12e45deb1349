"""Displacements of regions, against textures displaced in the Fourier domain."""

import numpy as np
import pytest
import scipy.interpolate
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from magkit.errors import UsageError
from magkit.measure import displacement
from magkit.measure.displacement import BASIS, SLOPE, TAPS, track
from magkit.measure.regions import Region
from tests.measure.textures import Array, Texture, clip, sine

REGION = Region(20, 16, 48, 40, "a")


def found(moves: Array, noise: float = 0.0, average: int = 1, region: Region = REGION) -> Array:
    [result] = track(clip(moves, noise=noise), [region], average)
    return result.displacement


@settings(max_examples=25, deadline=None)
@given(st.floats(-6, 6), st.floats(-6, 6))
def test_any_displacement_is_found(x: float, y: float) -> None:
    steps = np.linspace(0, 1, 5)[:, None] * (x, y)
    np.testing.assert_allclose(found(steps), steps, atol=2e-4)


def test_displacements_beyond_the_reach_of_least_squares_are_searched() -> None:
    moves = np.array([[0, 0], [14.3, -11.6], [-3.2, 9.4]])
    np.testing.assert_allclose(found(moves), moves, atol=1e-3)


def test_contrast_and_brightness_do_not_matter_and_are_told() -> None:
    moves = np.stack([sine(24, 0.4, 3), sine(24, 0.2, 5)], 1)
    gains, offsets = 1 + sine(24, 0.3, 7), sine(24, 0.1, 2)
    frames = [g * f + o for g, f, o in zip(gains, clip(moves), offsets, strict=True)]
    [result] = track(frames, [REGION], 1)
    np.testing.assert_allclose(result.displacement, moves - moves[0], atol=5e-4)
    np.testing.assert_allclose(result.brightness, gains / gains[0], atol=1e-3)
    assert result.correlation.min() > 0.999


@pytest.mark.parametrize("noise", [0.005, 0.02])
def test_noise_is_at_the_cramer_rao_limit(noise: float) -> None:
    """The limit by its formula, from the gradients of the texture itself (Fourier derivatives)."""
    texture, count = Texture(), 150
    frames = clip(np.zeros((count, 2)), texture, noise)
    [result] = track(frames, [REGION], 64)
    gradients = [
        np.fft.ifft2(2j * np.pi * axis * texture.spectrum).real[16:56, 20:68]
        for axis in (texture.x, texture.y)
    ]
    flat = np.array([(g - g.mean()).ravel() for g in gradients])
    limit = noise * np.sqrt(np.diag(np.linalg.inv(flat @ flat.T)))
    np.testing.assert_allclose(result.deviation, limit, rtol=0.05)
    later = result.displacement[64:]
    np.testing.assert_allclose(later.std(0), limit, rtol=0.25)


def test_the_reference_is_the_aligned_mean() -> None:
    """A motion during the first frames doesn't blur the reference: its gain is right."""
    moves = np.stack([sine(120, 1.0, 15), np.zeros(120)], 1)
    moved = found(moves, noise=0.03, average=16)
    assert moved[:, 0] @ moves[:, 0] / (moves[:, 0] @ moves[:, 0]) == pytest.approx(1, abs=0.01)


def test_regions_of_several_sizes_come_back_in_order() -> None:
    regions = [REGION, Region(10, 10, 16, 16, "b"), Region(30, 20, 48, 40, "c")]
    moves = np.stack([sine(12, 0.5, 2), sine(12, 0.3, 1)], 1)
    results = track(clip(moves), regions, 1)
    assert [each.region.name for each in results] == ["a", "b", "c"]
    for each in results:
        np.testing.assert_allclose(each.displacement, moves, atol=1e-3)


def test_frames_at_the_border_use_no_pixels_outside() -> None:
    moves = np.stack([sine(16, 0.3, 2), np.zeros(16)], 1)
    texture = Texture()
    corner = found(moves, region=Region(0, 0, 40, 40, "corner"))
    last = [f[:, -40:] for f in clip(moves, texture)]
    [edge] = track(last, [Region(0, 40, 40, 40, "edge")], 1)
    # Content enters at the border, and the reference doesn't hold it.
    np.testing.assert_allclose(corner, moves, atol=0.02)
    np.testing.assert_allclose(edge.displacement, moves, atol=0.02)


def test_flat_regions_and_dark_frames_give_no_numbers_that_are_not_finite() -> None:
    flat = [np.full((40, 40), 0.5)] * 18
    [result] = track(flat, [Region(4, 4, 32, 32, "flat")])
    assert np.isfinite(result.displacement).all()
    assert result.correlation.max() < displacement.LOST


def test_a_region_that_disappears_is_not_correlated() -> None:
    rng = np.random.default_rng(0)
    moves = np.stack([np.linspace(0, 2, 12), np.zeros(12)], 1)
    frames = clip(moves)
    frames[6:9] = rng.random((3, 80, 96))
    [result] = track(frames, [REGION], 1)
    assert result.correlation[[*range(6), *range(9, 12)]].min() > 0.99
    assert result.correlation[6:9].max() < 0.5
    # It is found again, and its displacement meanwhile is interpolated.
    np.testing.assert_allclose(result.displacement, moves, atol=1e-3)


def test_no_frames_and_no_regions() -> None:
    assert track([], [REGION]) == []
    assert track(clip(np.zeros((3, 2))), []) == []


def test_regions_are_checked() -> None:
    with pytest.raises(UsageError, match="outside the frame of 96 x 80"):
        track(clip(np.zeros((3, 2))), [Region(60, 16, 48, 40, "b")])


def test_the_basis_is_the_quintic_b_spline() -> None:
    places = np.linspace(-0.5, 0.5, 11)[:, None] - TAPS
    values, slopes = np.nan_to_num(BASIS(places)), np.nan_to_num(SLOPE(places))
    np.testing.assert_allclose(values.sum(1), 1, atol=1e-12)
    np.testing.assert_allclose(slopes.sum(1), 0, atol=1e-12)
    closed = [np.interp(0, [0], [x]) for x in (66 / 120, 26 / 120, 1 / 120)]  # at 0, 1 and 2
    np.testing.assert_allclose(values[5][3:6], closed, atol=1e-12)
    spline = scipy.interpolate.make_interp_spline(np.arange(30), np.sin(np.arange(30) / 3), k=5)
    assert spline(14.3) == pytest.approx(np.sin(14.3 / 3), abs=1e-5)


def test_noise_of_the_reference_does_not_pull_towards_half_a_pixel() -> None:
    """One noisy frame is the reference; without a correction the gain would be 1.03."""
    gains = []
    for seed in range(12):
        x = sine(80, 0.1, 10)
        frames = clip(np.stack([x, np.zeros(80)], 1), noise=0.03, seed=seed)
        [result] = track(frames, [REGION], 1)
        gains.append(result.displacement[:, 0] @ x / (x @ x))
    assert np.mean(gains) == pytest.approx(1, abs=0.015)


def test_the_power_of_interpolated_noise() -> None:
    """Against the interpolation of much noise by scipy."""
    noise = np.random.default_rng(0).standard_normal(200_000)
    for part in (0.0, 0.2, -0.35, 0.5):
        moved = scipy.ndimage.shift(noise, part, order=5, mode="mirror")
        assert displacement.NOISE_GAIN(part) == pytest.approx(moved.var() / noise.var(), rel=0.01)


def test_regions_that_are_fitted_together_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    swing = np.outer(sine(20, 0.3, 2), [1, 0.5])
    regions = [Region(8 + 12 * n, 10 + 3 * n, 24, 24, str(n)) for n in range(5)]
    together = track(clip(swing, noise=0.01), regions, 4)
    monkeypatch.setattr(displacement, "TOGETHER", 1200)  # two of them
    apart = track(clip(swing, noise=0.01), regions, 4)
    for one, other in zip(together, apart, strict=True):
        assert one.region == other.region
        np.testing.assert_allclose(one.displacement, other.displacement, atol=1e-12)
        np.testing.assert_allclose(one.deviation, other.deviation, rtol=1e-12)


def test_a_faint_texture_on_a_bright_ground_is_measured() -> None:
    swing = np.outer(sine(20, 0.3, 2), [1, 0.5])
    faint = (0.9 + 1e-3 * (frame - 0.5) for frame in clip(swing))
    [result] = track(faint, [REGION], 1)
    np.testing.assert_allclose(result.displacement, swing, atol=2e-4)
