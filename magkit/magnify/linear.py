"""`linear`: Eulerian video magnification (Wu et al., ACM Transactions on Graphics 31(4), 2012)."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from magkit.magnify.linear_spec import LinearConfig

SMALLEST = 8  # pixels: a shorter side is not halved again
FINEST = 2**1.5  # pixels: the wavelength in the middle of the finest band, an octave from 2 to 4
_LUMA = (0.299, 0.587, 0.114)
_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


class Linear:
    """See the module's docstring."""

    stride = 4  # below that there is nothing to reflect

    def __init__(self, config: LinearConfig) -> None:
        self.config = config

    def encode(self, frames_NCHW: torch.Tensor) -> torch.Tensor:
        """Return the frames, which are all that is needed."""
        return frames_NCHW

    def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        """Return the change of every pixel, (N, 3, H, W)."""
        return current - reference

    def render(
        self, current: torch.Tensor, motion: torch.Tensor, factor: torch.Tensor
    ) -> torch.Tensor:
        """Return frames (N, 3, H, W) with `motion` added, `factor` (N,) - 1 times or less."""
        bands = laplacian_pyramid(self._toned(motion))
        last = len(bands) - 1
        added = bands[-1] * self.gain(factor, FINEST * 2**last)
        for level in reversed(range(last)):
            band = bands[level]
            added = expand(added, band.shape[-2:]) + band * self.gain(factor, FINEST * 2**level)
        return current + added

    def gain(self, factor: torch.Tensor, wavelength: float) -> torch.Tensor:
        """Return by what a band of a wavelength in pixels is multiplied, (N, 1, 1, 1).

        It is factor - 1 for waves of `cutoff` and longer. Shorter ones get as much as keeps
        (1 + a) d within the bound, for the d that brings `cutoff` to it, and never less than 0
        (Wu et al. 2012, section 3.3 and figure 6).
        """
        alpha = (factor - 1).view(-1, 1, 1, 1)
        if not self.config.cutoff:
            return alpha
        bound = ((1 + alpha) * wavelength / self.config.cutoff - 1).clamp(min=0)
        return torch.minimum(alpha, bound)

    def _toned(self, motion: torch.Tensor) -> torch.Tensor:
        if self.config.chroma == 1:
            return motion
        luma = (motion * motion.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        return luma + (motion - luma) * self.config.chroma


def laplacian_pyramid(maps_NCHW: torch.Tensor) -> list[torch.Tensor]:
    """Take maps apart into octaves, the finest first, and what is left; sides at least 4.

    Source: Burt & Adelson, IEEE Transactions on Communications 31(4), 1983, with the binomial
    kernel; borders are reflected. With `expand`, the bands add up to the maps exactly.
    """
    bands = []
    while min(maps_NCHW.shape[-2:]) > SMALLEST:
        smaller = reduce(maps_NCHW)
        bands.append(maps_NCHW - expand(smaller, maps_NCHW.shape[-2:]))
        maps_NCHW = smaller
    return [*bands, maps_NCHW]


def reduce(maps_NCHW: torch.Tensor) -> torch.Tensor:
    """Smooth, and keep every other row and column, the first ones included."""
    padded = F.pad(maps_NCHW, (2,) * 4, mode="reflect")
    down, across = _kernels(maps_NCHW)
    smooth = F.conv2d(padded, down, stride=(2, 1), groups=maps_NCHW.shape[1])
    return F.conv2d(smooth, across, stride=(1, 2), groups=maps_NCHW.shape[1])


def expand(maps_NCHW: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """Undo `reduce` for maps whose (height, width) was `size`, but for what it smoothed away."""
    height, width = size
    padded = F.pad(maps_NCHW, (1,) * 4, mode="reflect")
    down, across = (2 * kernel for kernel in _kernels(maps_NCHW))
    groups = maps_NCHW.shape[1]
    tall = F.conv_transpose2d(padded, down, stride=(2, 1), groups=groups)
    wide = F.conv_transpose2d(tall, across, stride=(1, 2), groups=groups)
    # Of the padding's cell and of the kernel's reach, two texels each.
    return wide[..., 4 : 4 + height, 4 : 4 + width]


def _kernels(maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    taps = maps.new_tensor(_BINOMIAL).expand(maps.shape[1], 1, 5)
    return taps[..., None], taps[..., None, :]
