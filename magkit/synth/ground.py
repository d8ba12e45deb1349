"""Plain grounds with a few thin lines and edges, which show motion across them alone."""

from __future__ import annotations

import numpy as np
import torch

from magkit.synth.layers import sharpen
from magkit.synth.procedural import random_colour

LINES = (1, 6)  # drawn on a ground, fewest and most


def ground_texels(number: int, side: int) -> torch.Tensor:
    """Draw ground `number` as texels (3, side, side) in [0, 1], a texel the size of a pixel.

    It is one colour or a gradient of two, with lines of half to four pixels and edges between
    halves of the plane, hard or soft.
    """
    rng = np.random.default_rng([0x9D, number])
    places = torch.linspace(-1, 1, side)
    image = _colour(rng) + _gradient(rng, places)
    for _ in range(int(rng.integers(LINES[0], LINES[1] + 1))):
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.8, 0.8)
        distance = np.cos(angle) * places[None] + np.sin(angle) * places[:, None] - offset
        distance = distance * (side / 2)
        softness = float(np.exp(rng.uniform(np.log(0.5), np.log(2.5))))
        if rng.random() < 0.7:
            half = float(np.exp(rng.uniform(np.log(0.25), np.log(2.0))))
            weight = ((half - distance.abs()) / softness + 0.5).clamp(0, 1)
        else:
            weight = (distance / softness + 0.5).clamp(0, 1)
        image = image.lerp(_colour(rng), weight * float(rng.uniform(0.2, 1)))
    return sharpen(image.clamp(0, 1)).clamp(0, 1)


def _colour(rng: np.random.Generator) -> torch.Tensor:
    return torch.tensor(random_colour(rng)).view(3, 1, 1) / 255


def _gradient(rng: np.random.Generator, places: torch.Tensor) -> torch.Tensor:
    """Return nought for half of the grounds, else a slope of light."""
    across, down = rng.normal(0, 0.1, 2) * (rng.random() < 0.5)
    return float(across) * places[None, None] + float(down) * places[None, :, None]
