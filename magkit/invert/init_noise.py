"""The initial noise of an optimisation, and the colour axes of photographs."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from magkit.invert.settings import InvertSettings

Axes = Literal["photographs", "plain"]

# The symmetric root of the covariance of RGB, in units of ImageNet's deviations, of 150 pictures of
# COCO's train2017 at 64 x 64, scaled so that its trace is 3.
_ROOT = (
    (0.9936, 0.6155, 0.4413),
    (0.6155, 0.9026, 0.6336),
    (0.4413, 0.6336, 1.1037),
)


def mixing(axes: Axes, like: Tensor) -> Tensor:
    """Return the matrix (3, 3) that makes normalised colours of coordinates along the axes."""
    return torch.eye(3).to(like) if axes == "plain" else torch.tensor(_ROOT).to(like)


def mixed(matrix: Tensor, colours_N3HW: Tensor) -> Tensor:
    """Return colours times a matrix; differentiable."""
    # No matrix product: autocast would round the colours to 8 bits.
    return (matrix[:, :, None, None] * colours_N3HW[:, None]).sum(2)


def init_noise(size: tuple[int, int], settings: InvertSettings, draw: torch.Generator) -> Tensor:
    """Return noise (3, H, W) in normalised space, its deviation about 1, as settings ask for it."""
    white = torch.randn(3, *size, generator=draw)
    grained = pink(white) if settings.spectrum == "pink" else white
    return mixed(mixing(settings.axes, grained), grained[None])[0]


def pink(white_CHW: Tensor) -> Tensor:
    """Return white noise of deviation 1 with an amplitude in inverse proportion to its frequency.

    So photographs have it (Field, Journal of the Optical Society of America A 4(12), 1987). White
    noise has nearly all of its energy in grain, which no classifier minds, and which stays.
    """
    height, width = white_CHW.shape[1:]
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None]
    frequency = (down.square() + across.square()).sqrt()
    frequency[0, 0] = 1 / max(height, width)  # of the mean: as of the longest wave
    falling = 1 / frequency
    falling /= falling.square().mean().sqrt()
    spectrum = torch.fft.rfft2(white_CHW) * falling[:, : width // 2 + 1]
    found: Tensor = torch.fft.irfft2(spectrum, s=(height, width))
    return found
