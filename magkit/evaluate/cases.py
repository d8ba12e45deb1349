"""Scenes of the evaluation protocols, whose displacements are known; see docs/evaluation.md."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from magkit.synth.render import Sources
from magkit.synth.scene import Scene, SceneConfig, draw_scene

DISPLACEMENTS = (0.05, 0.1, 0.2, 0.5, 1.0)  # pixels
FACTORS = (5.0, 10.0, 20.0, 50.0)
MAX_MAGNIFIED = 12.0  # pixels
SIZE = 256  # pixels

SUBPIXEL_DISPLACEMENTS = tuple(10 ** (-1.4 + 0.1 * k) for k in range(15))  # pixels
PHOTON_LEVELS = tuple(10 ** (-2 + 0.2 * k) for k in range(21))
NOISE_DISPLACEMENT, NOISE_FACTOR = 0.05, 200.0
MAGNIFIED = 10.0  # pixels: the magnified motion of both

SINUSOID_FACTORS = (5.0, 10.0, 20.0, 50.0, 100.0)
SINUSOID_AMPLITUDE = 0.1  # pixels

# Two to four objects on a still background cover about a fifth of the frame.
STILL_BACKGROUND = SceneConfig(
    size=SIZE,
    magnified=(MAX_MAGNIFIED, MAX_MAGNIFIED),
    objects=(2, 4),
    extents=(0.25, 0.6),
    zoom=(1.0, 1.0),
    colour=0.0,
    kinds=("static-background",),
)
# Gains of up to 2 are searched, for which the background may be displaced twice as far.
SUBPIXEL = replace(STILL_BACKGROUND, magnified=(2 * MAGNIFIED, 2 * MAGNIFIED), kinds=("normal",))
SINUSOID = replace(STILL_BACKGROUND, objects=(1, 1), extents=(0.3, 0.6))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One scene of a protocol, in which everything that moves does so by `displacement` pixels.

    Attributes:
        displacement: pixels from A to B; of a clip, its amplitude.
        factor: the requested factor.
        scene: the scene.
        config: of the scene.
        photon_noise: variance of the noise on A and B over their grey levels, of 255.
    """

    displacement: float
    factor: float
    scene: Scene
    config: SceneConfig = STILL_BACKGROUND
    photon_noise: float = 0.0


def cases(sources: Sources, repeats: int = 5, seed: int = 0) -> Iterator[Case]:
    """Yield `repeats` scenes for each of 17 pairs of displacement and factor, up to 12 px together.

    Objects move in directions of their own over a still background.
    """
    pairs = [(d, f) for d in DISPLACEMENTS for f in FACTORS if d * f <= MAX_MAGNIFIED]
    for index, (displacement, factor) in enumerate(pairs * repeats):
        yield _case(STILL_BACKGROUND, sources, seed, index, displacement, factor)


def subpixel_cases(sources: Sources, repeats: int, seed: int = 0) -> Iterator[Case]:
    """Yield `repeats` scenes for each of 15 displacements from 0.04 to 1 px, magnified to 10 px.

    Objects and background move in directions of their own (Oh et al. 2018, section 5.2).
    """
    for index, displacement in enumerate(SUBPIXEL_DISPLACEMENTS * repeats):
        yield _case(SUBPIXEL, sources, seed, index, displacement, MAGNIFIED / displacement)


def noise_cases(sources: Sources, repeats: int, seed: int = 0) -> Iterator[Case]:
    """Yield `repeats` scenes for each of 21 levels of photon noise, 0.05 px magnified to 10 px.

    Objects move over a still background (Oh et al. 2018, section 5.2).
    """
    for index, level in enumerate(PHOTON_LEVELS * repeats):
        case = _case(STILL_BACKGROUND, sources, seed, index, NOISE_DISPLACEMENT, NOISE_FACTOR)
        yield replace(case, photon_noise=level)


def sinusoid_cases(sources: Sources, repeats: int, seed: int = 0) -> Iterator[Case]:
    """Yield `repeats` clips for each of five factors: one object oscillates along y over a picture.

    Every factor has the same clips. The scene is that of the greatest displacement.
    """
    for index, factor in enumerate(SINUSOID_FACTORS * repeats):
        number = index // len(SINUSOID_FACTORS)
        case = _case(SINUSOID, sources, seed, number, SINUSOID_AMPLITUDE, factor)
        (layer,) = case.scene.layers
        room = 1 - layer.extent / SINUSOID.size
        x, y = (min(max(place, 0.0), room) for place in layer.origin)
        layer = replace(layer, origin=(x, y), motion=(0.0, SINUSOID_AMPLITUDE))
        yield replace(case, scene=replace(case.scene, layers=(layer,)))


def _case(
    config: SceneConfig,
    sources: Sources,
    seed: int,
    index: int,
    displacement: float,
    factor: float,
) -> Case:
    counts = len(sources.pictures), len(sources.cutouts)
    scene = draw_scene(config, *counts, seed, index)
    layers = tuple(
        replace(layer, motion=_moved(layer.motion, displacement)) for layer in scene.layers
    )
    motion = _moved(scene.motion, displacement) if any(scene.motion) else scene.motion
    scene = replace(scene, factor=factor, layers=layers, motion=motion)
    return Case(displacement=displacement, factor=factor, scene=scene, config=config)


def _moved(motion: tuple[float, float], length: float) -> tuple[float, float]:
    x, y = motion
    norm = math.hypot(x, y)
    unit = (x / norm, y / norm) if norm > 0 else (1.0, 0.0)
    return unit[0] * length, unit[1] * length
