"""Spline interpolation against scipy's, in double precision."""

import numpy as np
import pytest
import scipy.ndimage
import torch

from magkit.magnify.spline import MIN_SIDE, Spline


@pytest.mark.parametrize("size", [(40, 57), (MIN_SIDE, MIN_SIDE)])
def test_it_is_scipys_cubic_spline_with_mirrored_borders(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    picture = rng.random(size)
    y, x = np.indices(size) + rng.uniform(-3, 3, (2, *size))
    exact = scipy.ndimage.map_coordinates(
        picture, [y.clip(0, size[0] - 1), x.clip(0, size[1] - 1)], order=3, mode="mirror"
    )
    spline = Spline(torch.from_numpy(picture)[None, None])
    found = spline.at(torch.from_numpy(np.stack([x, y])))[0, 0].numpy()
    assert np.abs(found - exact).max() < 1e-6


def test_pixels_are_themselves() -> None:
    picture = torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="ij")
    assert (Spline(picture).at(torch.stack([columns, rows])) - picture).abs().max() < 2e-5
