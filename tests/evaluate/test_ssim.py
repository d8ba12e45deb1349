"""Structural similarity against scikit-image."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.metrics import structural_similarity

from magkit.video.ssim import ssim_map


def pictures(noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(0)
    x = ndimage.gaussian_filter(rng.random((3, 40, 56)), (0, 2, 2))
    x = (x - x.min()) / np.ptp(x)
    y = np.clip(x + noise * rng.standard_normal(x.shape), 0, 1)
    return torch.from_numpy(x)[None], torch.from_numpy(y)[None]


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_it_is_scikit_images(noise: float, dtype: torch.dtype) -> None:
    x, y = pictures(noise)
    made = ssim_map(x.to(dtype), y.to(dtype))
    assert made.shape == (1, 1, 40, 56)
    _, exact = structural_similarity(  # type: ignore[no-untyped-call]
        x[0].numpy(),
        y[0].numpy(),
        channel_axis=0,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        win_size=11,
        full=True,
    )
    inside = (slice(5, -5), slice(5, -5))
    tolerance = 1e-9 if dtype is torch.float64 else 1e-3
    np.testing.assert_allclose(made[0, 0][inside], exact.mean(0)[inside], atol=tolerance)


def test_equal_frames_are_alike_everywhere() -> None:
    x, _ = pictures(0.0)
    torch.testing.assert_close(ssim_map(x, x), torch.ones(1, 1, 40, 56).double())


def test_it_is_symmetric_and_works_on_batches() -> None:
    x, y = pictures(0.1)
    both = ssim_map(torch.cat([x, y]), torch.cat([y, x]))
    torch.testing.assert_close(both[0], both[1])
    torch.testing.assert_close(both[:1], ssim_map(x, y))


def test_the_smallest_frame() -> None:
    assert ssim_map(torch.rand(1, 3, 6, 6), torch.rand(1, 3, 6, 6)).shape == (1, 1, 6, 6)
