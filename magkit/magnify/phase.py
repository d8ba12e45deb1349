"""`phase`: phase-based magnification (Wadhwa et al., 2013), and its steerable pyramid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from magkit.magnify.phase_spec import PhaseConfig

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


_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True, slots=True)
class Bands:
    """Frames (N, 3, H, W) and the complex bands of each octave, (N, C, B, h, w)."""

    frames: torch.Tensor
    octaves: list[torch.Tensor]


class Phase:
    """See the module's docstring."""

    def __init__(self, config: PhaseConfig) -> None:
        self.config = config

    @property
    def stride(self) -> int:
        """Sides of whole texels in every octave."""
        return int(2**self.config.octaves)

    def encode(self, frames_NCHW: torch.Tensor) -> Bands:
        """Take frames apart; they are taken to repeat beyond their borders."""
        maps = frames_NCHW
        if self.config.colour == "luma":
            maps = (maps * maps.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
        return Bands(frames_NCHW, analyse(maps, self._masks(frames_NCHW)))

    def motion(self, reference: Bands, current: Bands) -> torch.Tensor:
        """Return the differences of phase in radians; see the module's docstring."""
        pairs = zip(current.octaves, reference.octaves, strict=True)
        return self._packed([(after * before.conj()).angle() for after, before in pairs])

    def render(self, current: Bands, motion: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        """Return frames (N, 3, H, W), phases turned by `motion` another `factor` (N,) - 1 times."""
        alpha = (factor - 1).view(-1, 1, 1, 1, 1)
        changes = []
        for band, phases in zip(current.octaves, self._unpacked(motion, current), strict=True):
            turn = self._turn(smoothed(phases, band.abs(), self.config.sigma), alpha)
            changes.append(band * (torch.polar(torch.ones_like(turn), turn) - 1))
        return current.frames + rebuild(changes, self._masks(current.frames))

    def _turn(self, phases: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        """Amplify phases, up to where the filters no longer carry them.

        The filters of an octave carry a wave by a quarter of its length (Wadhwa et al. 2013,
        equation 8), narrower ones further in proportion. A motion that is larger itself is
        repeated once at most, so that removing it needs no exception.
        """
        if not self.config.attenuate:
            return phases * alpha
        reach = phases.abs().clamp(min=math.pi / 2 * self.config.per_octave)
        return torch.maximum(torch.minimum(phases * alpha, reach), -reach)

    def _packed(self, octaves: list[torch.Tensor]) -> torch.Tensor:
        flat = [phases.flatten(1, 2) for phases in octaves]
        sizes = zip(flat, self._scales(), strict=True)
        return torch.cat([F.pixel_unshuffle(phases, scale) for phases, scale in sizes], 1)

    def _unpacked(self, motion: torch.Tensor, like: Bands) -> list[torch.Tensor]:
        shapes = [band.shape for band in like.octaves]
        counts = [s[1] * s[2] * n**2 for s, n in zip(shapes, self._scales(), strict=True)]
        parts = zip(torch.split(motion, counts, 1), self._scales(), shapes, strict=True)
        return [F.pixel_shuffle(part, scale).view(shape) for part, scale, shape in parts]

    def _scales(self) -> list[int]:
        """How many times as large as the coarsest each octave is."""
        return [2**m for m in reversed(range(self.config.octaves))]

    def _masks(self, frames: torch.Tensor) -> Masks:
        c = self.config
        size = frames.shape[-2], frames.shape[-1]
        return masks(*size, c.octaves, c.orientations, c.per_octave, frames.device)


def smoothed(phases: torch.Tensor, amplitudes: torch.Tensor, sigma: float) -> torch.Tensor:
    """Smooth phases with a Gaussian of `sigma` texels, each weighted by its amplitude.

    Source: Wadhwa et al. 2013, equation 17. Maps are (N, C, B, h, w), repeated at the borders as
    the bands are.
    """
    if not sigma:
        return phases
    weighted, weight = (_blur(maps, sigma) for maps in (phases * amplitudes, amplitudes))
    # Where there is nothing but rounding there is no phase either.
    return weighted / (weight + 1e-6)


def _blur(maps: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur along both sides; sums of shifted maps are faster than convolutions of one channel."""
    for dim in (-2, -1):
        reach = min(math.ceil(3 * sigma), maps.shape[dim])
        taps = [math.exp(-(n**2) / (2 * sigma**2)) for n in range(-reach, reach + 1)]
        around = torch.cat(
            [maps.narrow(dim, maps.shape[dim] - reach, reach), maps, maps.narrow(dim, 0, reach)],
            dim,
        )
        blurred = torch.zeros_like(maps)
        for start, tap in enumerate(taps):
            blurred.add_(around.narrow(dim, start, maps.shape[dim]), alpha=tap / sum(taps))
        maps = blurred
    return maps
