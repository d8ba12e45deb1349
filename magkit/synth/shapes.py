"""Procedural objects: masks of simple shapes, thin ones among them, filled with textures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from magkit.synth.cache import TensorCache
from magkit.synth.sources import fit_longest
from magkit.synth.textures import SIDE, VERSION, Rng, texture

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


class ProceduralCutouts:
    """Shapes filled with procedural textures, as a `Cutouts` source; `count` of them."""

    unreadable: tuple[str, ...] = ()

    def __init__(self, count: int = 2048, cache: TensorCache | None = None) -> None:
        self.count = count
        self._cache = cache or TensorCache()

    def __len__(self) -> int:
        return self.count

    def cutout(self, index: int, longest: int) -> torch.Tensor:
        """Return object `index` as float RGBA (4, h, w), longer side `longest` pixels."""
        full = self._cache.get(("shape", index), lambda: self._full(index))
        return fit_longest(full, longest)

    def name(self, index: int) -> str:
        """Return the shape's number in words."""
        return f"shape {index}"

    def prepare(self, indices: Iterable[int]) -> None:
        """Do nothing: shapes are drawn, not read."""

    def describe(self) -> list[dict[str, Any]]:
        """Return kind, version and count: they determine every pixel."""
        return [{"kind": "procedural", "version": VERSION, "count": self.count}]

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
