"""The displacement kernel against scipy's splines."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.interpolate import BSpline

from magkit.synth.layers import displace, sharpen, spline_taps

FRACTIONS = (0.0, 0.003, 0.25, 0.5, 0.999, 1.0)
fractions = st.floats(0, 1, exclude_max=True, width=32)


def texels(seed: int = 0, side: int = 20) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((1, 3, side, side), np.float32))


def moved(layers: torch.Tensor, dx: float, dy: float) -> torch.Tensor:
    return displace(layers, torch.tensor([dx]), torch.tensor([dy]))


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_taps_are_the_cubic_spline(fraction: float) -> None:
    basis = BSpline.basis_element(np.arange(-2.0, 3.0), extrapolate=False)
    exact = np.nan_to_num(basis(np.arange(-2, 3) - fraction))
    np.testing.assert_allclose(spline_taps(torch.tensor([fraction]))[0], exact, atol=1e-6)


@pytest.mark.parametrize("dx", FRACTIONS)
@pytest.mark.parametrize("dy", [0.0, 0.7])
def test_displace_samples_the_spline_exactly(dx: float, dy: float) -> None:
    layers = texels()
    y, x = np.mgrid[2:18, 2:18].astype(np.float64)
    for made, plane in zip(moved(layers, dx, dy)[0], layers[0].double().numpy(), strict=True):
        exact = ndimage.map_coordinates(plane, [y - dy, x - dx], order=3, prefilter=False)
        np.testing.assert_allclose(made, exact, atol=1e-5)


def test_layers_of_a_batch_move_each_its_own_way() -> None:
    layers = torch.cat([texels(1), texels(2)])
    both = displace(layers, torch.tensor([0.1, 0.8]), torch.tensor([0.3, 0.0]))
    torch.testing.assert_close(both[:1], moved(layers[:1], 0.1, 0.3))
    torch.testing.assert_close(both[1:], moved(layers[1:], 0.8, 0.0))


@settings(max_examples=40, deadline=None)
@given(fractions, fractions, st.floats(-3, 3), st.integers(0, 99))
def test_displace_is_linear(dx: float, dy: float, weight: float, seed: int) -> None:
    one, other = texels(seed), texels(seed + 1)
    joined = moved(one + weight * other, dx, dy)
    torch.testing.assert_close(
        joined, moved(one, dx, dy) + weight * moved(other, dx, dy), atol=1e-5, rtol=1e-5
    )


@settings(max_examples=40, deadline=None)
@given(fractions, fractions, st.integers(-3, 3), st.integers(-3, 3))
def test_whole_pixels_compose_with_fractions(dx: float, dy: float, right: int, down: int) -> None:
    layers = texels()
    first = moved(layers.roll((down, right), (2, 3)), dx, dy)
    after = moved(layers, dx, dy).roll((down, right), (2, 3))
    torch.testing.assert_close(first[..., 3:-3, 3:-3], after[..., 3:-3, 3:-3])


@settings(max_examples=20, deadline=None)
@given(fractions, fractions)
def test_a_plain_layer_stays_plain(dx: float, dy: float) -> None:
    torch.testing.assert_close(
        moved(torch.full((1, 3, 9, 9), 0.37), dx, dy), torch.full((1, 3, 5, 5), 0.37)
    )


def test_sharpened_texels_give_back_a_smooth_picture() -> None:
    x = torch.linspace(0, 6 * np.pi, 96)
    picture = (0.5 + 0.4 * torch.sin(x)[:, None] * torch.cos(x))[None]
    plain, sharp = moved(picture[None], 0, 0)[0], moved(sharpen(picture)[None], 0, 0)[0]
    inside = picture[:, 2:-2, 2:-2]
    assert (sharp - inside).abs()[:, 2:-2, 2:-2].max() < 0.01 * (plain - inside).abs().max() + 1e-6
