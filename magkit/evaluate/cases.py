"""The scenes that a magnifier is judged on: objects that move by a known length, nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from magkit.synth.render import Sources
from magkit.synth.scene import Layer, Scene, SceneConfig, draw_scene

DISPLACEMENTS = (0.05, 0.1, 0.2, 0.5, 1.0)  # pixels
FACTORS = (5.0, 10.0, 20.0, 50.0)
MAX_MAGNIFIED = 12.0  # pixels
SIZE = 256  # pixels

# Two to four objects on a still background cover about a fifth of the frame.
JUDGED = SceneConfig(
    size=SIZE,
    magnified=(MAX_MAGNIFIED, MAX_MAGNIFIED),
    objects=(2, 4),
    extents=(0.25, 0.6),
    zoom=(1.0, 1.0),
    colour=0.0,
    kinds=("static-background",),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One scene of the protocol; every object moves by `displacement` pixels, each its own way."""

    displacement: float
    factor: float
    scene: Scene


def cases(sources: Sources, repeats: int = 5, seed: int = 0) -> Iterator[Case]:
    """Yield `repeats` scenes for each displacement and factor whose product is at most 12 px.

    With the default displacements and factors these are 17 pairs.
    """
    counts = len(sources.pictures), len(sources.cutouts)
    pairs = [(d, f) for d in DISPLACEMENTS for f in FACTORS if d * f <= MAX_MAGNIFIED]
    for index, (displacement, factor) in enumerate(pairs * repeats):
        scene = draw_scene(JUDGED, *counts, seed, index)
        layers = tuple(_moved(layer, displacement) for layer in scene.layers)
        scene = replace(scene, factor=factor, layers=layers)
        yield Case(displacement=displacement, factor=factor, scene=scene)


def _moved(layer: Layer, length: float) -> Layer:
    x, y = layer.motion
    norm = math.hypot(x, y)
    unit = (x / norm, y / norm) if norm > 0 else (1.0, 0.0)
    return replace(layer, motion=(unit[0] * length, unit[1] * length))
