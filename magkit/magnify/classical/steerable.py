"""A complex steerable pyramid in the frequency domain.

Source: Portilla & Simoncelli, International Journal of Computer Vision 40(1), 2000, section 2.1;
radial windows narrower than an octave as in Wadhwa et al. 2013, section 3.2. What lies above the
highest and below the lowest window is left out: `rebuild(analyse(x))` is the part of x that the
bands hold, and a change of the bands becomes a change of the picture.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

Masks = list[Tensor]


@lru_cache(maxsize=2)
def masks(
    height: int, width: int, octaves: int, orientations: int, per_octave: int, device: torch.device
) -> Masks:
    """Return the windows of each octave, (per_octave * orientations, h, w).

    Frequency 0 is in the middle. Octave l is sampled at height / 2^l and width / 2^l, which hold
    all of its frequencies: the sides must be multiples of 2^octaves. The windows' squares, with
    those of the opposite half-plane, add up to 1 between the centres of the lowest and of the
    highest radial window.
    """
    found = []
    for octave in range(octaves):
        rows, columns = height >> octave, width >> octave
        # Cycles a pixel of the picture over half a cycle: from -1 to 1 in it.
        y = (torch.arange(rows, device=device) - rows // 2)[:, None] * (2 / height)
        x = (torch.arange(columns, device=device) - columns // 2)[None] * (2 / width)
        place = torch.hypot(x, y).clamp(min=1e-9).log2()
        angle = torch.atan2(y, x)
        radial = [_radial(place, octave + n / per_octave, per_octave) for n in range(per_octave)]
        angular = [_angular(angle, n, orientations) for n in range(orientations)]
        found.append(torch.stack([r * a for r in radial for a in angular]))
    return found


def _radial(place: Tensor, start: float, per_octave: int) -> Tensor:
    """Return a cosine window from `start` octaves below the highest frequency on."""
    centre = -start - 1 / per_octave
    return torch.cos(((place - centre) * per_octave).clamp(-1, 1) * (math.pi / 2))


def _angular(angle: Tensor, number: int, orientations: int) -> Tensor:
    """Return the window of one direction: nothing of the half-plane on the other side."""
    order = orientations - 1
    energy = orientations * math.comb(2 * order, order) / 4**order
    cosine = torch.cos(angle - math.pi * number / orientations).clamp(min=0)
    # Twice the energy: the real part of a signal without negative frequencies is half of it.
    return math.sqrt(2 / energy) * cosine**order


def analyse(maps_NCHW: Tensor, windows: Masks) -> list[Tensor]:
    """Return the complex bands of each octave, (N, C, per_octave * orientations, h, w)."""
    spectrum = torch.fft.fftshift(torch.fft.fft2(maps_NCHW, norm="forward"), dim=(-2, -1))
    bands = []
    for window in windows:
        part = _middle(spectrum, *window.shape[-2:])[:, :, None] * window
        bands.append(torch.fft.ifft2(torch.fft.ifftshift(part, dim=(-2, -1)), norm="forward"))
    return bands


def rebuild(bands: list[Tensor], windows: Masks) -> Tensor:
    """Return the picture (N, C, H, W) that bands like those of `analyse` stand for."""
    n, c, _, height, width = bands[0].shape
    spectrum = bands[0].new_zeros(n, c, height, width)
    for band, window in zip(bands, windows, strict=True):
        part = torch.fft.fftshift(torch.fft.fft2(band, norm="forward"), dim=(-2, -1))
        _middle(spectrum, *window.shape[-2:]).add_((part * window).sum(2))
    whole = torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1)), norm="forward")
    picture: Tensor = whole.real
    return picture


def _middle(spectrum: Tensor, rows: int, columns: int) -> Tensor:
    """Return a view of the lowest frequencies, (..., rows, columns)."""
    height, width = spectrum.shape[-2:]
    top, left = (height - rows) // 2, (width - columns) // 2
    return spectrum[..., top : top + rows, left : left + columns]
