"""`phase`: phase-based video magnification, Wadhwa et al., ACM Trans. on Graphics 32(4), 2013.

A displacement turns the phases of local waves, by 2 pi times it over their wavelength. Phases of
a complex steerable pyramid are compared with the reference's, smoothed over neighbours by
amplitude, and turned `factor` - 1 times further; amplitudes stay.

The motion representation is the phase differences in radians, in (-pi, pi], (N, K, h, w), as
large as the coarsest octave. Octave l is 2^m times as large, m = octaves - 1 - l, and each of its
bands fills 4^m channels (`pixel_unshuffle`); octaves come from the finest on, in each the channels
of colour, in each of these radial windows, in each of these directions. So nothing is stored
twice: K h w is 4/3 of the picture times bands and colours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from magkit.magnify.classical import steerable
from magkit.magnify.classical.phase_spec import PhaseConfig

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
        return Bands(frames_NCHW, steerable.analyse(maps, self._masks(frames_NCHW)))

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
        return current.frames + steerable.rebuild(changes, self._masks(current.frames))

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

    def _masks(self, frames: torch.Tensor) -> steerable.Masks:
        c = self.config
        size = frames.shape[-2], frames.shape[-1]
        return steerable.masks(*size, c.octaves, c.orientations, c.per_octave, frames.device)


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
