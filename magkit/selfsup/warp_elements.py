"""A frame or a clip, warped by a known displacement: one element of a batch of `warp`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from magkit.selfsup.warp_spec import WarpedFramesConfig
from magkit.synth import procedural
from magkit.synth.coding import Path, draw_path
from magkit.synth.deformation import Deformation, make_fields, material, sample
from magkit.synth.layers import sharpen
from magkit.synth.sources import resize
from magkit.synth.triplets import photon_spread
from magkit.synth.variety import draw_deformation

Kind = Literal["still", "warp", "clean", "real"]
KINDS: tuple[Kind, ...] = ("still", "warp", "clean", "real")
"""The elements of a group: a still frame, a warped one, another uncoded, and a warped clip."""
MARGIN = 24  # pixels around a part of a window, which displacements bring in
SHOWN = 20.0  # pixels: the largest magnified displacement
LEAST_FACTOR = 1.5
MOST_SHAPES = 3  # that are displaced together, where a part of the frame is
SHAPE_SIDES = (0.2, 0.9)  # of a shape, over the frame's side
RESTS = 4  # first frames of a stream at most in which nothing is displaced yet

Rng = np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """A stream of frames, of which all or a part is displaced by multiples of a field.

    Attributes:
        kind: of the element.
        texels: cubic B-spline coefficients of the frames, (K, 3, size + 2 MARGIN, likewise).
        part: what is displaced, where only a part is: its colours and opacity as coefficients,
            (4, size + 2 MARGIN, likewise); None: the whole frame is.
        frames: the frames without margin, (K, 3, size, size) in [0, 1].
        numbers: of the frame that each picture of the stream shows.
        field: the displacement at scale 1.
        path: scales of the stream's pictures, and which of them are A and B.
        rest: number of pictures, from A on, of whose mean A is made.
        factor: of the magnified frame.
        photons: strength of photon noise.
        reading: standard deviation of read noise; 1 is white.
        coded: whether the stream is coded.
    """

    kind: Kind
    texels: Tensor
    part: Tensor | None
    frames: Tensor
    numbers: Sequence[int]
    field: Deformation
    path: Path
    rest: int
    factor: float
    photons: float
    reading: float
    coded: bool

    @property
    def size(self) -> int:
        """Return the side of its frames in pixels."""
        return self.frames.shape[-1]

    def stream(self) -> Tensor:
        """Return the pictures of the stream, (T, 3, size, size), without noise."""
        if self.kind == "still":
            return self.frames[list(self.numbers)]
        return self.displaced(self.path.scales, self.numbers)

    def displaced(self, scales: Sequence[float], numbers: Sequence[int]) -> Tensor:
        """Return frames displaced by `scales` times the field, one for each scale."""
        places = self._places(scales)
        if self.part is None:
            return sample(self.texels[list(numbers)], places).clamp(0, 1)
        part = sample(self.part.expand(len(scales), -1, -1, -1), places).clamp(0, 1)
        return torch.lerp(self.frames[list(numbers)], part[:, :3], part[:, 3:])

    def warp(self) -> Tensor:
        """Return how far what B shows at each pixel is displaced, (1, 2, size, size)."""
        return (self._grid() - self._material([1.0])) * (self.cover([1.0]) > 0.5)

    def cover(self, scales: Sequence[float]) -> Tensor:
        """Return the opacity of what is displaced, at any of the scales, (1, 1, size, size)."""
        if self.kind == "still" or self.part is None:
            return torch.full((1, 1, self.size, self.size), float(self.kind != "still"))
        opacity = self.part[3:].expand(len(scales), -1, -1, -1)
        return sample(opacity, self._places(scales)).amax(0, keepdim=True).clamp(0, 1)

    def noisy(self, pictures: Tensor, draws: torch.Generator) -> Tensor:
        """Return pictures with noise as uint8."""
        if not self.photons and not self.reading:
            return (pictures * 255).round().byte()
        for spread in (photon_spread(pictures, self.photons), self.reading):
            pictures = pictures + spread * torch.randn(pictures.shape, generator=draws)
        dither = torch.rand(pictures.shape, generator=draws)
        return (pictures * 255 + dither).clamp(0, 255).byte()

    def _places(self, scales: Sequence[float]) -> Tensor:
        return self._material(scales) + (self.texels.shape[-1] - 1) / 2

    def _material(self, scales: Sequence[float]) -> Tensor:
        fields = make_fields([self.field] * len(scales))
        points = self._grid().expand(len(scales), -1, -1, -1)
        return material(fields, points, torch.tensor(scales))

    def _grid(self) -> Tensor:
        along = torch.arange(self.size) - (self.size - 1) / 2
        y, x = torch.meshgrid(along, along, indexing="ij")
        return torch.stack([x, y])[None]


def draw_element(
    kind: Kind, window: Tensor, length: int, config: WarpedFramesConfig, size: int, rng: Rng
) -> Element:
    """Draw an element.

    Args:
        kind: of the element; a clip of one frame is warped as a still frame is.
        window: consecutive frames, uint8 (K, 3, H, W).
        length: of the stream.
        config: ranges of displacement, noise and factor.
        size: side of the frames in pixels.
        rng: random draws.
    """
    kind = "warp" if kind == "real" and len(window) < 2 else kind
    cut = draw_cut(window, size + 2 * MARGIN, rng)
    numbers = _numbers(kind, len(cut), length, rng)
    used = sorted(set(numbers))
    frames = cut[used].float() / 255
    clean = kind == "clean"
    amplitude = _log_uniform(rng, *(config.clean_amplitude if clean else config.amplitude))
    most = max(SHOWN / amplitude, LEAST_FACTOR)
    factor = min(_log_uniform(rng, *config.factors), most)
    path, rest = _draw_path(kind, length, rng)
    field = _draw_field(size, amplitude, factor, rng) if kind != "still" else Deformation()
    part = None
    if kind in ("warp", "clean") and rng.random() < config.parts:
        part = _draw_part(frames[0], draw_cut(window, size + 2 * MARGIN, rng), size, rng)
    noise = rng.random(2) * (rng.choice([0.0, rng.random()]) if clean else 1.0)
    return Element(
        kind=kind,
        texels=torch.stack([sharpen(frame) for frame in frames]),
        part=part,
        frames=frames[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN],
        numbers=[used.index(number) for number in numbers],
        field=field,
        path=path,
        rest=rest,
        factor=factor,
        photons=float(config.noise * noise[0]),
        reading=float(config.read_noise * noise[1]),
        coded=bool(rng.random() < config.coded) and not clean,
    )


def draw_cut(window: Tensor, side: int, rng: Rng) -> Tensor:
    """Draw a square part of a window, mirrored or not; borders repeat where it is too small."""
    short = [max(side - length, 0) for length in (window.shape[-1], window.shape[-2])]
    if any(short):
        pad = [half for length in short for half in (length // 2, length - length // 2)]
        window = F.pad(window.float(), pad, mode="replicate").byte()
    top, left = (int(rng.integers(length - side + 1)) for length in window.shape[-2:])
    cut = window[:, :, top : top + side, left : left + side]
    mirrored = [dim for dim in (-1, -2) if rng.random() < 0.5]
    return cut.flip(mirrored) if mirrored else cut


def _draw_part(frame: Tensor, other: Tensor, size: int, rng: Rng) -> Tensor:
    """Draw shapes, filled with another part of the window; see `Element.part`."""
    colour = other[int(rng.integers(len(other)))].float() / 255
    opacity = torch.zeros_like(frame[:1])
    for _ in range(int(rng.integers(1, MOST_SHAPES + 1))):
        side = int(size * _log_uniform(rng, *SHAPE_SIDES))
        shape = torch.from_numpy(np.array(procedural.mask(rng)))[None].float() / 255
        top, left = (int(MARGIN + rng.integers(size - side + 1)) for _ in range(2))
        place = opacity[:, top : top + side, left : left + side]
        torch.maximum(place, resize(shape, side, side), out=place)
    return torch.cat([sharpen(colour), opacity])


def _numbers(kind: Kind, count: int, length: int, rng: Rng) -> list[int]:
    """Return the numbers of the frames that a stream shows: one frame, or a clip to and fro."""
    begin = int(rng.integers(count))
    if kind != "real":
        return [begin] * length
    cycle = [*range(count), *range(count - 2, 0, -1)]
    return [cycle[(begin + step) % len(cycle)] for step in range(length)]


def _draw_path(kind: Kind, length: int, rng: Rng) -> tuple[Path, int]:
    """Draw the scales of a stream, and the number of its first pictures that are at rest."""
    if kind == "real":
        return draw_path(rng, length), 1
    rest = int(rng.integers(1, RESTS + 1))
    drawn = draw_path(rng, length - rest + 1)
    # What is A of the drawn path becomes the rest; a still frame's scales mean nothing.
    others = drawn.scales[drawn.a + 1 :] + drawn.scales[: drawn.a]
    return Path((0.0,) * rest + others, 0, rest + drawn.b - drawn.a - 1), rest


def _draw_field(size: int, amplitude: float, factor: float, rng: Rng) -> Deformation:
    """Draw a displacement: a shift, a deformation, or both."""
    share = float(rng.choice([0.0, 1.0, rng.random()]))
    angle = rng.uniform(0, 2 * np.pi)
    shift = share * amplitude * float(np.cos(angle)), share * amplitude * float(np.sin(angle))
    bent = draw_deformation(rng, size / 2, max((1 - share) * amplitude, 1e-9), factor)
    return Deformation(shift=shift, matrix=bent.matrix, waves=bent.waves)


def _log_uniform(rng: Rng, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
