"""Classical magnifiers, which need no weights: `linear`, `colour`, `phase`, and their pyramids."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from magkit.magnify.classical_spec import ColourConfig, LinearConfig, PhaseConfig

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
MIN_SIDE = 8  # pixels: a shorter side is not halved again
FINEST = 2**1.5  # pixels: the wavelength in the middle of the finest band, an octave from 2 to 4
BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


def luma(maps_NCHW: Tensor) -> Tensor:
    """Return the luma (N, 1, H, W) of RGB."""
    return (maps_NCHW * maps_NCHW.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


Windows = list[Tensor]


class Linear:
    """Eulerian video magnification: Wu et al., ACM Transactions on Graphics 31(4), 2012."""

    stride = 4  # fewer pixels can't be reflected

    def __init__(self, config: LinearConfig) -> None:
        self.config = config

    def encode(self, frames_NCHW: Tensor) -> Tensor:
        """Return the frames."""
        return frames_NCHW

    def motion(self, reference: Tensor, current: Tensor) -> Tensor:
        """Return the change of every pixel, (N, 3, H, W)."""
        return current - reference

    def render(self, current: Tensor, motion: Tensor, factor: Tensor) -> Tensor:
        """Return frames (N, 3, H, W) with `motion` added, `factor` (N,) - 1 times or less."""
        bands = laplacian_pyramid(self._scale_chroma(motion))
        last = len(bands) - 1
        added = bands[-1] * self.gain(factor, FINEST * 2**last)
        for level in reversed(range(last)):
            band = bands[level]
            added = expand(added, band.shape[-2:]) + band * self.gain(factor, FINEST * 2**level)
        return current + added

    def gain(self, factor: Tensor, wavelength: float) -> Tensor:
        """Return the amplification (N, 1, 1, 1) of a band by its wavelength in pixels.

        It is factor - 1 for waves of `cutoff` and longer. For shorter ones it is bounded by the
        product (1 + a) d of a wave of `cutoff`, and never below 0 (Wu et al. 2012, section 3.3
        and figure 6).
        """
        alpha = (factor - 1).view(-1, 1, 1, 1)
        if not self.config.cutoff:
            return alpha
        bound = ((1 + alpha) * wavelength / self.config.cutoff - 1).clamp(min=0)
        return torch.minimum(alpha, bound)

    def _scale_chroma(self, motion: Tensor) -> Tensor:
        if self.config.chroma == 1:
            return motion
        grey = luma(motion)
        return grey + (motion - grey) * self.config.chroma


@dataclass(frozen=True, slots=True)
class Blurred:
    """Frames (N, 3, H, W) and a level of their Gaussian pyramid, (N, 3, h, w)."""

    frames: Tensor
    level: Tensor


class Colour:
    """Eulerian colour magnification: Wu et al., ACM Transactions on Graphics 31(4), 2012."""

    def __init__(self, config: ColourConfig) -> None:
        self.config = config

    @property
    def stride(self) -> int:
        """The side that leaves two texels of the level: fewer can't be reflected."""
        return int(2 ** (self.config.level + 1))

    def encode(self, frames_NCHW: Tensor) -> Blurred:
        """Return frames with their blurred colour."""
        level = frames_NCHW
        for _ in range(self.config.level):
            level = reduce(level)
        return Blurred(frames_NCHW, level)

    def motion(self, reference: Blurred, current: Blurred) -> Tensor:
        """Return the change of the blurred colour, (N, 3, h, w)."""
        return current.level - reference.level

    def render(self, current: Blurred, motion: Tensor, factor: Tensor) -> Tensor:
        """Return frames (N, 3, H, W) with `motion` added `factor` (N,) - 1 times."""
        added = motion * (factor - 1).view(-1, 1, 1, 1)
        height, width = current.frames.shape[-2:]
        for level in reversed(range(self.config.level)):
            added = expand(added, (height >> level, width >> level))
        return current.frames + added


def laplacian_pyramid(maps_NCHW: Tensor) -> list[Tensor]:
    """Decompose maps into octaves, the finest first, and the residual; sides at least 4.

    Source: Burt & Adelson, IEEE Transactions on Communications 31(4), 1983, with the binomial
    kernel; borders are reflected. With `expand`, the bands add up to the maps exactly.
    """
    bands = []
    while min(maps_NCHW.shape[-2:]) > MIN_SIDE:
        smaller = reduce(maps_NCHW)
        bands.append(maps_NCHW - expand(smaller, maps_NCHW.shape[-2:]))
        maps_NCHW = smaller
    return [*bands, maps_NCHW]


def reduce(maps_NCHW: Tensor) -> Tensor:
    """Smooth, and keep every other row and column, the first ones included."""
    padded = F.pad(maps_NCHW, (2,) * 4, mode="reflect")
    down, across = _kernels(maps_NCHW)
    smooth = F.conv2d(padded, down, stride=(2, 1), groups=maps_NCHW.shape[1])
    return F.conv2d(smooth, across, stride=(1, 2), groups=maps_NCHW.shape[1])


def expand(maps_NCHW: Tensor, size: tuple[int, ...]) -> Tensor:
    """Interpolate the maps that `reduce` made of maps of (height, width) `size`."""
    height, width = size
    padded = F.pad(maps_NCHW, (1,) * 4, mode="reflect")
    down, across = (2 * kernel for kernel in _kernels(maps_NCHW))
    groups = maps_NCHW.shape[1]
    tall = F.conv_transpose2d(padded, down, stride=(2, 1), groups=groups)
    wide = F.conv_transpose2d(tall, across, stride=(1, 2), groups=groups)
    # The padding and the kernel's radius are two texels each.
    return wide[..., 4 : 4 + height, 4 : 4 + width]


def _kernels(maps: Tensor) -> tuple[Tensor, Tensor]:
    taps = maps.new_tensor(BINOMIAL).expand(maps.shape[1], 1, 5)
    return taps[..., None], taps[..., None, :]


@dataclass(frozen=True, slots=True)
class Bands:
    """Frames (N, 3, H, W) and the complex bands of each octave, (N, C, B, h, w)."""

    frames: Tensor
    octaves: list[Tensor]


class Phase:
    """Phase-based magnification: Wadhwa et al., ACM Transactions on Graphics 32(4), 2013."""

    def __init__(self, config: PhaseConfig) -> None:
        self.config = config

    @property
    def stride(self) -> int:
        """The side that has whole texels in every octave."""
        return int(2**self.config.octaves)

    def encode(self, frames_NCHW: Tensor) -> Bands:
        """Decompose frames into bands, with periodic borders."""
        maps = frames_NCHW
        if self.config.colour == "luma":
            maps = luma(maps)
        return Bands(frames_NCHW, decompose(maps, self._windows(frames_NCHW)))

    def motion(self, reference: Bands, current: Bands) -> Tensor:
        """Return the phase differences in radians, the octaves packed to one (N, K, h, w)."""
        pairs = zip(current.octaves, reference.octaves, strict=True)
        return self._packed([(after * before.conj()).angle() for after, before in pairs])

    def render(self, current: Bands, motion: Tensor, factor: Tensor) -> Tensor:
        """Return frames (N, 3, H, W), phases turned by `motion` another `factor` (N,) - 1 times."""
        alpha = (factor - 1).view(-1, 1, 1, 1, 1)
        changes = []
        for band, phases in zip(current.octaves, self._unpacked(motion, current), strict=True):
            turn = self._turn(smooth_phases(phases, band.abs(), self.config.sigma), alpha)
            changes.append(band * (torch.polar(torch.ones_like(turn), turn) - 1))
        return current.frames + reconstruct(changes, self._windows(current.frames))

    def _turn(self, phases: Tensor, alpha: Tensor) -> Tensor:
        """Amplify phases, limited to the spatial support of the filters.

        An octave's filters shift a wave by up to a quarter of its length (Wadhwa et al. 2013,
        equation 8), narrower ones further in proportion. A larger motion is repeated once at
        most, so that removing it needs no exception.
        """
        if not self.config.attenuate:
            return phases * alpha
        limit = phases.abs().clamp(min=math.pi / 2 * self.config.per_octave)
        return torch.maximum(torch.minimum(phases * alpha, limit), -limit)

    def _packed(self, octaves: list[Tensor]) -> Tensor:
        flat = [phases.flatten(1, 2) for phases in octaves]
        sizes = zip(flat, self._scales(), strict=True)
        return torch.cat([F.pixel_unshuffle(phases, scale) for phases, scale in sizes], 1)

    def _unpacked(self, motion: Tensor, like: Bands) -> list[Tensor]:
        shapes = [band.shape for band in like.octaves]
        counts = [s[1] * s[2] * n**2 for s, n in zip(shapes, self._scales(), strict=True)]
        parts = zip(torch.split(motion, counts, 1), self._scales(), shapes, strict=True)
        return [F.pixel_shuffle(part, scale).view(shape) for part, scale, shape in parts]

    def _scales(self) -> list[int]:
        """Return the side of each octave over that of the coarsest."""
        return [2**m for m in reversed(range(self.config.octaves))]

    def _windows(self, frames: Tensor) -> Windows:
        c = self.config
        size = frames.shape[-2], frames.shape[-1]
        return steerable_windows(*size, c.octaves, c.orientations, c.per_octave, frames.device)


def smooth_phases(phases: Tensor, amplitudes: Tensor, sigma: float) -> Tensor:
    """Smooth phases with a Gaussian of `sigma` texels, each weighted by its amplitude.

    Source: Wadhwa et al. 2013, equation 17. Maps are (N, C, B, h, w), repeated at the borders as
    the bands are.
    """
    if not sigma:
        return phases
    weighted, weight = (_blur(maps, sigma) for maps in (phases * amplitudes, amplitudes))
    # Rounding errors of the amplitude have no phase.
    return weighted / (weight + 1e-6)


def _blur(maps: Tensor, sigma: float) -> Tensor:
    """Blur both sides; sums of shifted maps are faster than convolutions of one channel."""
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


@lru_cache(maxsize=2)
def steerable_windows(
    height: int, width: int, octaves: int, orientations: int, per_octave: int, device: torch.device
) -> Windows:
    """Return the frequency windows of each octave, (per_octave * orientations, h, w).

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
    """Return the window of one direction, 0 in the opposite half-plane."""
    order = orientations - 1
    energy = orientations * math.comb(2 * order, order) / 4**order
    cosine = torch.cos(angle - math.pi * number / orientations).clamp(min=0)
    # Twice the energy: the real part of a signal without negative frequencies is half of it.
    return math.sqrt(2 / energy) * cosine**order


def decompose(maps_NCHW: Tensor, windows: Windows) -> list[Tensor]:
    """Return the complex bands of each octave, (N, C, per_octave * orientations, h, w)."""
    spectrum = torch.fft.fftshift(torch.fft.fft2(maps_NCHW, norm="forward"), dim=(-2, -1))
    bands = []
    for window in windows:
        part = _middle(spectrum, *window.shape[-2:])[:, :, None] * window
        bands.append(torch.fft.ifft2(torch.fft.ifftshift(part, dim=(-2, -1)), norm="forward"))
    return bands


def reconstruct(bands: list[Tensor], windows: Windows) -> Tensor:
    """Return the picture (N, C, H, W) of bands as `decompose` returns them."""
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
