"""Textures displaced exactly, by the shift theorem; nothing of magkit's interpolation is used."""

from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


class Texture:
    """A periodic texture with mean .5 and standard deviation .12, free of fine detail."""

    def __init__(self, height: int = 80, width: int = 96, seed: int = 0) -> None:
        noise = np.random.default_rng(seed).standard_normal((height, width))
        smooth = scipy.ndimage.gaussian_filter(noise, 1.5, mode="wrap")
        self.spectrum = np.fft.fft2(0.5 + 0.12 * smooth / smooth.std())
        self.x, self.y = np.fft.fftfreq(width), np.fft.fftfreq(height)[:, None]

    def displaced(self, x: float, y: float = 0.0) -> Array:
        """Return the texture displaced by x to the right and y down, pixels."""
        shift = np.exp(-2j * np.pi * (self.x * x + self.y * y))
        frame: Array = np.fft.ifft2(self.spectrum * shift).real
        return frame


def clip(
    moves: Array, texture: Texture | None = None, noise: float = 0.0, seed: int = 1
) -> list[Array]:
    """Return a frame for each displacement (T, 2), with Gaussian noise."""
    source, rng = texture or Texture(), np.random.default_rng(seed)
    frames = [source.displaced(x, y) for x, y in moves]
    return [frame + noise * rng.standard_normal(frame.shape) for frame in frames]


def sine(count: int, amplitude: float, cycles: float, phase: float = 0.0) -> Array:
    """Return a sine with `cycles` periods in `count` samples."""
    wave: Array = amplitude * np.sin(2 * np.pi * cycles * np.arange(count) / count + phase)
    return wave
