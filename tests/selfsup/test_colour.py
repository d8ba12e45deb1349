"""Changes of colour: each against torchvision's, hue against its definition."""

import colorsys
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms import functional as F

from magkit.selfsup.recipe import ViewConfig
from magkit.selfsup.views import AugmentationParams, color_jitter, colour_matrix, solarize


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    """Colours of middling values, (2, 3, 8, 8): small changes clip none of them."""
    return 0.3 + 0.4 * torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def changed(
    pictures: Tensor,
    brightness: float = 1,
    contrast: float = 1,
    saturation: float = 1,
    turns: float = 0,
) -> Tensor:
    """Change the colours of pictures, all alike, without clipping."""
    values = brightness, contrast, saturation, turns
    b, c, s, t = torch.tensor(values, dtype=pictures.dtype)[:, None]
    many = len(pictures)
    mean = pictures.mean((2, 3))
    matrix = colour_matrix(b.expand(many), c.expand(many), s.expand(many), t.expand(many), mean)
    return torch.einsum("ncd,ndyx->ncyx", matrix[..., :3], pictures) + matrix[..., 3:, None]


@pytest.mark.parametrize("factor", [0.0, 0.6, 1.0, 1.3])
def test_single_changes_are_those_of_torchvision(pictures: Tensor, factor: float) -> None:
    for name, change in (
        ("brightness", F.adjust_brightness),
        ("contrast", F.adjust_contrast),
        ("saturation", F.adjust_saturation),
    ):
        ours = changed(pictures, **{name: factor}).clamp(0, 1)
        # torchvision's weights of luma are rounded to four digits.
        assert torch.allclose(ours, change(pictures, factor), atol=2e-4), name


def test_changes_one_after_the_other_are_one_map_in_any_order(pictures: Tensor) -> None:
    names = {"brightness": 0.9, "contrast": 0.7, "saturation": 1.2, "turns": 0.05}
    once = changed(pictures, **names)
    for order in (
        list(names),
        list(names)[::-1],
        ["contrast", "turns", "brightness", "saturation"],
    ):
        stepwise = pictures
        for name in order:
            stepwise = changed(stepwise, **{name: names[name]})
        assert torch.allclose(stepwise, once, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(rgb=st.tuples(*[st.floats(0, 1)] * 3), turns=st.floats(-0.5, 0.5))
def test_hue_is_a_rotation_in_yiq(rgb: tuple[float, float, float], turns: float) -> None:
    given = torch.tensor(rgb, dtype=torch.float64).view(1, 3, 1, 1)
    found = changed(given, turns=turns).flatten().tolist()
    yiq = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    luma, i, q = yiq @ np.array(rgb)
    turned = complex(i, q) * np.exp(-2j * math.pi * turns)
    truth = np.linalg.solve(yiq, [luma, turned.real, turned.imag])
    assert found == pytest.approx(truth.tolist(), abs=1e-9)
    # Python's own YIQ has coefficients of two digits.
    assert colorsys.rgb_to_yiq(*rgb) == pytest.approx((luma, i, q), abs=0.01)


@pytest.mark.parametrize("hue", [0.02, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9])
def test_hue_turns_the_way_of_hsv_and_nearly_as_far(hue: float) -> None:
    rgb = torch.tensor(colorsys.hsv_to_rgb(hue, 0.4, 0.6))
    turned = changed(rgb.view(1, 3, 1, 1), turns=0.05).flatten().tolist()
    found = colorsys.rgb_to_hsv(*turned)[0] - hue
    assert 0.02 < found % 1 < 0.09


def test_ranges_and_probabilities(pictures: Tensor, draws: Callable[..., Tensor]) -> None:
    many = pictures[:1].expand(400, -1, -1, -1)
    rows = draws(400)
    still = ViewConfig(jitter=(0.0, 1.0), grey=(0.0, 0.0))
    kept = color_jitter(many, AugmentationParams(*rows.unbind(1)), still, 0)
    assert torch.allclose(kept, many, atol=1e-6)
    other = color_jitter(many, AugmentationParams(*rows.unbind(1)), still, 1)
    assert ((other - many).abs().amax((1, 2, 3)) > 1e-3).float().mean() > 0.97
    only = ViewConfig(contrast=0.0, saturation=0.0, hue=0.0, grey=(0.0, 0.0), jitter=(0.8, 0.8))
    factors = color_jitter(many, AugmentationParams(*rows.unbind(1)), only, 0).mean(
        (1, 2, 3)
    ) / many.mean((1, 2, 3))
    assert ((factors > 0.59) & (factors < 1.41)).all()
    assert 0.73 < ((factors - 1).abs() > 1e-4).float().mean() < 0.87
    greys = color_jitter(many, AugmentationParams(*rows.unbind(1)), ViewConfig(grey=(0.2, 1.0)), 0)
    assert 0.14 < (greys.std(1).amax((1, 2)) < 1e-6).float().mean() < 0.26


def test_grey_is_that_of_torchvision(pictures: Tensor, draws: Callable[..., Tensor]) -> None:
    rows = AugmentationParams(*draws(2).unbind(1))
    grey = color_jitter(pictures, rows, ViewConfig(jitter=(0.0, 0.0), grey=(0.0, 1.0)), 1)
    assert torch.allclose(grey, F.rgb_to_grayscale(pictures, 3), atol=2e-4)


def test_clipping_comes_last(draws: Callable[..., Tensor]) -> None:
    bright = torch.full((1, 3, 4, 4), 0.9)
    rows = AugmentationParams(
        *draws(1, jitter=0.0, brightness=0.999, contrast=0.5, hue=0.5).unbind(1)
    )
    assert torch.equal(color_jitter(bright, rows, ViewConfig(), 0), torch.ones_like(bright))


def test_solarizing_is_that_of_torchvision(draws: Callable[..., Tensor]) -> None:
    pictures = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    rows = AugmentationParams(*draws(2).unbind(1))
    config = ViewConfig(solarize=(0.0, 1.0))
    assert torch.equal(solarize(pictures, rows, config, 0), pictures)
    assert torch.equal(solarize(pictures, rows, config, 1), F.solarize(pictures, 0.5))
