"""Cubic B-spline interpolation of pictures at any places."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

POLE = math.sqrt(3) - 2  # of the filter that makes coefficients
REACH = 12  # pixels: what lies further away changes a coefficient by less than 2e-7 of itself
MIN_SIDE = REACH + 1  # pixels: shorter sides can't be mirrored so far


class Spline:
    """A picture between its pixels: the cubic spline through them, mirrored at the borders.

    Coefficients by a truncated filter (Unser, IEEE Signal Processing Magazine 1999); values by four
    linear interpolations of them, as the weights of a cubic B-spline are positive (Sigg & Hadwiger,
    GPU Gems 2, chapter 20).

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
        below = inside.floor()
        first, second, share = _pairs(inside - below)
        spots = [(below + each + 2) for each in (first, second)]
        total: torch.Tensor | None = None
        for x, share_x in zip(spots, (1 - share[0], share[0]), strict=True):
            for y, share_y in zip(spots, (1 - share[1], share[1]), strict=True):
                part = self._linear(x[0], y[1]) * (share_x * share_y)
                total = part if total is None else total + part
        assert total is not None
        return total

    def _linear(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        rows, columns = self._coefficients.shape[-2:]
        grid = torch.stack([x * (2 / (columns - 1)) - 1, y * (2 / (rows - 1)) - 1], -1)[None]
        return F.grid_sample(self._coefficients, grid, padding_mode="border", align_corners=True)


def _pairs(part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return where two linear interpolations stand for four weights, and the second one's share.

    Args:
        part: of a pixel, past the pixel at 0; in [0, 1).
    """
    rest = 1 - part
    weights = [
        rest**3 / 6,
        2 / 3 - part**2 * (2 - part) / 2,
        2 / 3 - rest**2 * (2 - rest) / 2,
        part**3 / 6,
    ]
    before, after = weights[0] + weights[1], weights[2] + weights[3]
    return weights[1] / before - 1, weights[3] / after + 1, after
