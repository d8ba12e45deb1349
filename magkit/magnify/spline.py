"""Cubic B-spline interpolation of pictures at any places."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from magkit.synth.deformation import sample

POLE = math.sqrt(3) - 2  # of the filter that makes coefficients
REACH = 12  # pixels: what lies further away changes a coefficient by less than 2e-7 of itself
MIN_SIDE = REACH + 1  # pixels: shorter sides can't be mirrored so far


class Spline:
    """A picture between its pixels: the cubic spline through them, mirrored at the borders.

    Coefficients by a truncated filter (Unser, IEEE Signal Processing Magazine 1999); values by
    `magkit.synth.deformation.sample`.

    Args:
        picture: (1, C, H, W), sides of at least 13.
    """

    def __init__(self, picture: torch.Tensor) -> None:
        kernel = torch.arange(-REACH, REACH + 1, device=picture.device).abs()
        gain = -6 * POLE / (1 - POLE**2)
        taps = gain * torch.tensor(POLE, dtype=picture.dtype, device=picture.device) ** kernel
        taps = taps / taps.sum()
        channels = F.pad(picture.transpose(0, 1), (REACH,) * 4, mode="reflect")
        filtered = F.conv2d(F.conv2d(channels, taps.view(1, 1, 1, -1)), taps.view(1, 1, -1, 1))
        self._coefficients = F.pad(filtered, (2,) * 4, mode="reflect").transpose(0, 1)

    def at(self, places: torch.Tensor) -> torch.Tensor:
        """Return the values (1, C, h, w) at places (2, h, w), x and y in pixels; outside, borders.

        The centre of the first pixel is at (0, 0).
        """
        height, width = (side - 4 for side in self._coefficients.shape[-2:])
        last = places.new_tensor([width - 1, height - 1]).view(2, 1, 1)
        inside = places.minimum(last).clamp(min=0)
        return sample(self._coefficients, (inside + 2)[None])
