"""Procedural pictures and objects: textures and shapes that need no file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw

from magkit.synth.sources import TensorCache, fit_longest

Rng = np.random.Generator
Pixels = npt.NDArray[np.float32]
VERSION = 1  # of the drawings: raised when a number no longer gives the same pixels
SIDE = 512  # pixels: every procedural picture is drawn at this size, then cut
SUPERSAMPLING = 3  # shapes are drawn so many times larger, then averaged: smooth edges


def random_colour(rng: Rng) -> tuple[int, int, int]:
    """Draw an RGB colour, greyish more often than vivid, as in photographs."""
    grey = rng.uniform(10, 245)
    spread = rng.exponential(30)
    r, g, b = np.clip(grey + rng.normal(0, spread, 3), 0, 255).astype(int)
    return int(r), int(g), int(b)


def noise(rng: Rng, side: int = SIDE) -> Pixels:
    """Return coloured 1/f^b noise (side, side, 3) of about unit spread, 0.7 <= b <= 2."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((3, side, side)).astype(np.float32), axes=(1, 2))
    shaped = np.fft.irfft2(spectrum * frequency ** -rng.uniform(0.7, 2), s=(side, side))
    shaped /= shaped.std() + 1e-9
    mix = np.eye(3) * rng.uniform(0, 1) + np.ones((3, 3)) / 3
    pixels: Pixels = np.einsum("chw,cd->hwd", shaped, mix).astype(np.float32)
    return pixels


def _canvas(rng: Rng) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    side = SIDE * SUPERSAMPLING
    image = Image.new("RGB", (side, side), random_colour(rng))
    return image, ImageDraw.Draw(image)


def _leaf(draw: ImageDraw.ImageDraw, rng: Rng, radius: float) -> None:
    x, y = rng.uniform(0, SIDE * SUPERSAMPLING, 2)
    radius *= SUPERSAMPLING
    if rng.random() < 0.4:
        ratio = rng.uniform(0.4, 1)
        box = (x - radius, y - radius * ratio, x + radius, y + radius * ratio)
        draw.ellipse(box, fill=random_colour(rng))
        return
    corners = int(rng.integers(3, 7))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    points = [(x + radius * np.cos(a), y + radius * np.sin(a)) for a in angles]
    draw.polygon(points, fill=random_colour(rng))


def dead_leaves(rng: Rng) -> Pixels:
    """Draw shapes with P(radius) ~ radius^-3 over one another; (SIDE, SIDE, 3) in [0, 255]."""
    image, draw = _canvas(rng)
    smallest, largest = rng.uniform(4, 12), SIDE / 3
    count = int(rng.integers(80, 500))
    u = rng.uniform(0, 1, count)
    radii = (smallest**-2 + u * (largest**-2 - smallest**-2)) ** -0.5
    # Large leaves first: with few leaves, the small ones would all be covered.
    for radius in np.sort(radii)[::-1] if rng.random() < 0.5 else radii:
        _leaf(draw, rng, float(radius))
    return np.asarray(image.reduce(SUPERSAMPLING), np.float32)


def grating(rng: Rng) -> Pixels:
    """Return stripes or a checkerboard of two colours, of any direction, hard or soft."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(8), np.log(96)))
    u = (x * np.cos(angle) + y * np.sin(angle)) / period
    v = (y * np.cos(angle) - x * np.sin(angle)) / period
    wave = np.sin(2 * np.pi * u) * (np.sin(2 * np.pi * v) if rng.random() < 0.5 else 1)
    weight = np.clip(wave * rng.choice([0.5, 2, 8]), -0.5, 0.5)[..., None] + 0.5
    low, high = np.array(random_colour(rng)), np.array(random_colour(rng))
    return np.asarray(low + weight * (high - low), np.float32)


def strokes(rng: Rng) -> Pixels:
    """Draw many lines and dots of one to ten pixels on a plain ground: thin structures."""
    image, draw = _canvas(rng)
    side = SIDE * SUPERSAMPLING
    for _ in range(int(rng.integers(40, 200))):
        x, y, dx, dy = (*rng.uniform(0, side, 2), *rng.normal(0, side / 4, 2))
        width = int(rng.integers(1, 10)) * SUPERSAMPLING
        if rng.random() < 0.7:
            draw.line((x, y, x + dx, y + dy), fill=random_colour(rng), width=width)
        else:
            draw.ellipse((x, y, x + 2 * width, y + 2 * width), fill=random_colour(rng))
    return np.asarray(image.reduce(SUPERSAMPLING), np.float32)


def clouds(rng: Rng) -> Pixels:
    """Return filtered noise about a colour."""
    return np.asarray(noise(rng) * rng.uniform(15, 60) + random_colour(rng), np.float32)


TEXTURES: tuple[tuple[Callable[[Rng], Pixels], float], ...] = (
    (dead_leaves, 0.5),
    (clouds, 0.25),
    (strokes, 0.15),
    (grating, 0.1),
)


def texture(number: int) -> torch.Tensor:
    """Return procedural picture `number` as uint8 RGB (3, SIDE, SIDE)."""
    rng = np.random.default_rng([0x7E, number])
    makers, weights = zip(*TEXTURES, strict=True)
    pixels = makers[int(rng.choice(len(makers), p=weights))](rng)
    if rng.random() < 0.7:  # a fine grain and a gradient of light, as any real surface has
        pixels = pixels + noise(rng) * rng.uniform(1, 14)
        ramp = np.linspace(-1, 1, SIDE, dtype=np.float32)
        light = np.add.outer(ramp * rng.normal(0, 20), ramp * rng.normal(0, 20))
        pixels = pixels + light[..., None]
    return torch.from_numpy(np.clip(pixels, 0, 255).astype(np.uint8)).permute(2, 0, 1).contiguous()


class _Procedural:
    """`count` numbered drawings, none of them read from a file."""

    unreadable: tuple[str, ...] = ()
    what: str

    def __init__(self, count: int = 2048, cache: TensorCache | None = None) -> None:
        self.count = count
        self._cache = cache or TensorCache()

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        """Return kind and number of an item."""
        return f"{self.what} {index}"

    def prepare(self, indices: Iterable[int]) -> None:
        """Do nothing: items are drawn, not read."""

    def describe(self) -> list[dict[str, Any]]:
        """Return kind, version and count: they determine every pixel."""
        return [{"kind": "procedural", "version": VERSION, "count": self.count}]


class ProceduralPictures(_Procedural):
    """Procedural textures as a `Pictures` source."""

    what = "texture"

    def picture(self, index: int) -> torch.Tensor:
        """Return texture `index` as uint8 (3, SIDE, SIDE)."""
        return self._cache.get(("texture", index), lambda: texture(index))


CANVAS = 256  # pixels: shapes are drawn at this size and shrunk to what a scene asks for


def _radial(rng: Rng) -> list[tuple[float, float]]:
    """Return a closed outline around the centre whose radius wanders smoothly."""
    angles = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    radius = np.ones_like(angles)
    for harmonic in range(2, 7):
        phase = rng.uniform(0, 2 * np.pi)
        radius += rng.normal(0, 0.6 / harmonic) * np.cos(harmonic * angles + phase)
    radius = np.clip(radius, 0.2, None)
    radius *= CANVAS * 0.46 / radius.max()
    xs, ys = radius * np.cos(angles), radius * np.sin(angles)
    return [(CANVAS / 2 + x, CANVAS / 2 + y) for x, y in zip(xs, ys, strict=True)]


def _polygon(rng: Rng) -> list[tuple[float, float]]:
    corners = int(rng.integers(3, 8))
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(0.25, 0.48, corners) * CANVAS
    centre = CANVAS / 2
    return [
        (centre + r * np.cos(a), centre + r * np.sin(a))
        for a, r in zip(angles, radius, strict=True)
    ]


def _bar(rng: Rng) -> list[tuple[float, float]]:
    """Return a rotated rectangle, often a thin one: strings, prongs, cables."""
    half = np.array([0.48, np.exp(rng.uniform(np.log(0.015), np.log(0.2)))]) * CANVAS
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    return [(float(x), float(y)) for x, y in corners @ turn.T + CANVAS / 2]


def mask(rng: Rng) -> Image.Image:
    """Draw one filled shape, drawn four times larger and shrunk so that its edge is smooth."""
    scale = 4
    image = Image.new("L", (CANVAS * scale, CANVAS * scale))
    outline = (_radial, _polygon, _bar)[int(rng.choice(3, p=[0.45, 0.25, 0.3]))](rng)
    ImageDraw.Draw(image).polygon([(x * scale, y * scale) for x, y in outline], fill=255)
    return image.resize((CANVAS, CANVAS), Image.Resampling.BOX)


class ProceduralCutouts(_Procedural):
    """Shapes filled with procedural textures as a `Cutouts` source."""

    what = "shape"

    def cutout(self, index: int, longest: int) -> torch.Tensor:
        """Return object `index` as float RGBA (4, h, w), longer side `longest` pixels."""
        full = self._cache.get(("shape", index), lambda: self._full(index))
        return fit_longest(full, longest)

    def _full(self, index: int) -> torch.Tensor:
        rng = np.random.default_rng([0x5A, index])
        number, top, left = rng.integers(0, (self.count, SIDE - CANVAS, SIDE - CANVAS))
        # Kept would be the texture too, which few shapes share and which takes four times the room.
        colour = texture(int(number))
        colour = colour[:, top : top + CANVAS, left : left + CANVAS]
        drawn = mask(rng)
        left_, upper, right, lower = drawn.getbbox() or (0, 0, CANVAS, CANVAS)
        alpha = torch.from_numpy(np.array(drawn))[None]
        return torch.cat([colour, alpha])[:, upper:lower, left_:right].contiguous()
