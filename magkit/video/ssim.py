"""Structural similarity as the field computes it."""

from __future__ import annotations

import torch
from torch.nn import functional as F

WINDOW = 11
SIGMA = 1.5


def ssim_map(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return SSIM at every pixel, mean over channels.

    Source: Wang et al., IEEE TIP 2004, equation 13, with their 11 x 11 Gaussian window of
    sigma 1.5, K1 = 0.01, K2 = 0.03 and the range of values 1; borders are reflected, so that the
    map has the size of the frame.

    Args:
        x: (N, C, H, W) in [0, 1], H and W at least 6.
        y: likewise.

    Returns:
        (N, 1, H, W), at most 1.
    """
    moments = _blur(torch.cat([x, y, x * x, y * y, x * y], 1))
    mx, my, xx, yy, xy = moments.chunk(5, 1)
    vx, vy, vxy = xx - mx * mx, yy - my * my, xy - mx * my
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mx * my + c1) / (mx * mx + my * my + c1)
    structure = (2 * vxy + c2) / (vx + vy + c2)
    similarity: torch.Tensor = (luminance * structure).mean(1, keepdim=True)
    return similarity


def _blur(maps: torch.Tensor) -> torch.Tensor:
    offsets = torch.arange(WINDOW, device=maps.device, dtype=maps.dtype) - WINDOW // 2
    taps = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    taps = (taps / taps.sum()).expand(maps.shape[1], 1, WINDOW)
    padded = F.pad(maps, (WINDOW // 2,) * 4, mode="reflect")
    across = F.conv2d(padded, taps[:, :, None, :], groups=maps.shape[1])
    return F.conv2d(across, taps[:, :, :, None], groups=maps.shape[1])
