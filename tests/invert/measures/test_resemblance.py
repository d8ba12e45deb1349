"""SSIM against scikit-image, histograms against NumPy's."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from magkit.invert.measures import histogram_distance, ssim


def picture(seed: int, size: tuple[int, int] = (24, 32)) -> torch.Tensor:
    return torch.rand(3, *size, generator=torch.Generator().manual_seed(seed))


def plain(*colour: float, size: tuple[int, int] = (4, 6)) -> torch.Tensor:
    return torch.tensor(colour)[:, None, None].expand(3, *size)


def test_ssim_is_scikit_images_inside_of_a_mask() -> None:
    a = picture(0)
    b = (a + 0.2 * picture(1)).clamp(0, 1)
    mask = torch.zeros(24, 32, dtype=torch.bool)
    mask[7:15, 9:21] = True
    _, exact = structural_similarity(  # type: ignore[no-untyped-call]
        a.double().numpy(),
        b.double().numpy(),
        channel_axis=0,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        win_size=11,
        full=True,
    )
    assert ssim(a, b, mask) == pytest.approx(exact[:, mask.numpy()].mean(), abs=1e-5)
    assert ssim(a, a) == pytest.approx(1, abs=1e-5)
    assert ssim(a, b) != ssim(a, b, mask)
    assert math.isnan(ssim(a, b, mask & False))


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 10**6),
    bins=st.integers(1, 9),
    share=st.sampled_from([None, 0.1, 0.7]),
)
def test_histograms_are_numpys(seed: int, bins: int, share: float | None) -> None:
    a, b = picture(seed), picture(seed + 1) ** 2
    a[:, 0, :2], b[:, 0, :2] = 1, 0  # the ends of the range
    mask = None if share is None else picture(seed + 2)[0] < share
    chosen = np.ones((24, 32), bool) if mask is None else mask.numpy()
    counts = [
        np.histogramdd(x.numpy()[:, chosen].T, bins=bins, range=[(0, 1)] * 3)[0] for x in (a, b)
    ]
    exact = 1 - np.minimum(*counts).sum() / chosen.sum()
    found = histogram_distance(a, b, mask, bins)
    # Rounding may put a value on an edge into either cell, unless edges are powers of two.
    assert found == pytest.approx(exact, abs=1e-12 if bins in {1, 2, 4, 8} else 2 / chosen.sum())
    assert found == histogram_distance(b, a, mask, bins)
    assert 0 <= found <= 1
    assert histogram_distance(a, a, mask, bins) == 0


def test_distances_that_are_known() -> None:
    red, blue = plain(1, 0, 0), plain(0, 0, 1)
    assert histogram_distance(red, blue) == 1
    half = torch.where(torch.arange(6) < 3, red, blue)
    assert histogram_distance(half, red) == 0.5
    assert histogram_distance(half, half.flip(2)) == 0  # places don't matter
    assert histogram_distance(plain(0.51, 0.5, 0.5), plain(0.6, 0.6, 0.6)) == 0
    assert histogram_distance(plain(0.51, 0.5, 0.5), plain(0.6, 0.6, 0.6), bins=32) == 1


def test_colours_are_counted_jointly() -> None:
    # Red and green are as often light as dark in both, but never together in the second.
    light = torch.arange(6) < 3
    same = torch.stack([light, light, light]).float()[:, None]
    crossed = torch.stack([light, ~light, light]).float()[:, None]
    assert histogram_distance(same, crossed) == 1


def test_only_the_mask_counts() -> None:
    a, b = plain(1, 0, 0).clone(), plain(1, 0, 0).clone()
    b[:, :, 3:] = 0.5
    mask = (torch.arange(6) < 3).expand(4, 6)
    assert histogram_distance(a, b, mask) == 0
    assert histogram_distance(a, b, ~mask) == 1
    assert math.isnan(histogram_distance(a, b, mask & False))
