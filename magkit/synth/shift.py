"""Exact sub-pixel displacement of layers.

A layer is a function of the continuous plane: its texels are the coefficients of a cubic B-spline,
    layer(u) = sum_k texel[k] beta3(u - k),
and a frame samples that function at its pixels. A displacement by any real number is then exact by
definition, there is no interpolation that would blur one displacement more than another, and the
spline, which is a box (the texel) smoothed by a quadratic spline (the optics and the pixel), keeps
aliasing low. Texels are sharpened beforehand, so that frames look as sharp as their source.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

TAPS = 5  # a cubic B-spline covers four samples; a fifth lets any fraction in [0, 1) start alike


def spline_taps(fractions: torch.Tensor) -> torch.Tensor:
    """Return the weights (N, 5) that displace by `fractions` (N,) in [0, 1) pixels.

    out[n] = sum_j taps[j] * texel[n + 2 - j]; they sum to one. Source: Unser, "Splines: a perfect
    fit for signal and image processing", 1999, equation 4 with n = 3.
    """
    offsets = torch.arange(-2, 3, device=fractions.device, dtype=fractions.dtype)
    distance = (offsets[None] - fractions[:, None]).abs()
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - distance).clamp(min=0) ** 3 / 6
    return torch.where(distance < 1, near, far)


def displace(layers: torch.Tensor, dx: torch.Tensor, dy: torch.Tensor) -> torch.Tensor:
    """Sample layers at displacements of less than a pixel.

    Args:
        layers: texels (N, C, h, w).
        dx: displacement to the right in pixels, in [0, 1), (N,).
        dy: displacement downwards, likewise.

    Returns:
        Samples (N, C, h - 4, w - 4): two texels are used up at every side.
    """
    count, channels, height, width = layers.shape
    across = spline_taps(dx).flip(1).repeat_interleave(channels, 0)[:, None, None, :]
    down = spline_taps(dy).flip(1).repeat_interleave(channels, 0)[:, None, :, None]
    flat = layers.reshape(1, count * channels, height, width)
    flat = F.conv2d(flat, across.to(flat), groups=count * channels)
    flat = F.conv2d(flat, down.to(flat), groups=count * channels)
    return flat.view(count, channels, height - TAPS + 1, width - TAPS + 1)


def sharpen(image: torch.Tensor) -> torch.Tensor:
    """Undo most of the spline's blur: (C, h, w) -> the same size.

    The first term of the inverse of the spline's samples [1, 4, 1] / 6, which is [-1, 8, -1] / 6.
    """
    taps = image.new_tensor([-1.0, 8.0, -1.0]) / 6
    padded = F.pad(image[:, None], (1, 1, 1, 1), mode="replicate")
    return F.conv2d(F.conv2d(padded, taps.view(1, 1, 1, 3)), taps.view(1, 1, 3, 1))[:, 0]
