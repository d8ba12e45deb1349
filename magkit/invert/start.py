"""The noise that pictures start from."""

from __future__ import annotations

import torch
from torch import Tensor

from magkit.invert.colours import mixed, mixing
from magkit.invert.settings import InvertSettings


def noise(size: tuple[int, int], settings: InvertSettings, draw: torch.Generator) -> Tensor:
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
