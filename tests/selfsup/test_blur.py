"""Blur against SciPy's."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from magkit.selfsup.recipe import ViewConfig
from magkit.selfsup.views import AugmentationParams, gaussian_blur, gaussian_matrices


@pytest.mark.parametrize("sigma", [0.1, 0.4, 1.0, 2.5])
def test_kernels_are_gaussians_without_what_lies_beyond(sigma: float) -> None:
    picture = np.random.default_rng(0).random((30, 30))
    kernel = gaussian_matrices(torch.tensor([sigma], dtype=torch.float64), 30)[0].numpy()
    kind = {"sigma": sigma, "mode": "constant", "truncate": 30.0}
    truth = gaussian_filter(picture, **kind) / gaussian_filter(np.ones((30, 30)), **kind)
    assert np.abs(kernel @ picture @ kernel.T - truth).max() < 1e-9


def test_those_that_are_chosen_lose_as_much_as_at_224_pixels(draws: Callable[..., Tensor]) -> None:
    config = ViewConfig(size=112, blur=(0.5, 0.1), sigma=(2.0, 2.0))
    views = torch.rand(40, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    rows = AugmentationParams(*draws(40).unbind(1))
    for which, share in ((0, 0.5), (1, 0.1)):
        found = gaussian_blur(views.clone(), rows, config, which)
        same = (found == views).all(3).all(2).all(1)
        assert torch.equal(~same, (rows.blur < share))
    first = int((rows.blur < 0.5).nonzero()[0])
    kind = {"sigma": (0, 1.0, 1.0), "mode": "constant", "truncate": 12.0}
    picture = views[first].numpy().astype(np.float64)
    truth = gaussian_filter(picture, **kind) / gaussian_filter(np.ones_like(picture), **kind)
    found = gaussian_blur(views.clone(), rows, config, 0)[first]
    assert np.abs(found.numpy() - truth).max() < 1e-5
