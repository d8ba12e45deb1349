"""Scenes as random draws: layers, their places and motions, and the factor.

The five kinds and the limits are those of Oh et al. (ECCV 2018, section 4): input motion up to
10 px, magnified motion up to 30 px, seven to fifteen objects that occlude one another.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from magkit.synth.records import KINDS, Kind, Layer, Scene, SceneConfig
from magkit.synth.sources import snap_size
from magkit.synth.variety import vary

__all__ = ["KINDS", "Kind", "Layer", "Scene", "SceneConfig", "draw_scene"]

Vector = npt.NDArray[np.float64]


def draw_scene(config: SceneConfig, pictures: int, cutouts: int, seed: int, index: int) -> Scene:
    """Draw scene `index`: a pure function of its arguments.

    Args:
        config: ranges to draw from.
        pictures: number of background pictures there are.
        cutouts: number of objects there are.
        seed: seed of the whole set.
        index: number of the scene in the set.
    """
    rng = np.random.default_rng([seed, index])
    kind = config.kinds[int(rng.integers(len(config.kinds)))]
    factor = _log_uniform(rng, *config.factors)
    reach = min(_log_uniform(rng, *config.magnified), config.max_motion * factor)
    moves_background = kind in ("normal", "low-contrast", "background-motion")
    motion = _motion(rng, reach / factor) if moves_background else (0.0, 0.0)
    count = (
        0
        if kind == "background-motion"
        else int(rng.integers(config.objects[0], config.objects[1] + 1))
    )
    layers = tuple(_draw_layer(rng, config, cutouts, kind, reach / factor) for _ in range(count))
    amount = config.colour * (rng.random() < 0.5)
    scene = Scene(
        index=index,
        kind=kind,
        factor=factor,
        background=int(rng.integers(pictures)),
        zoom=_log_uniform(rng, *config.zoom),
        corner=(rng.random(), rng.random()),
        flip=bool(rng.random() < 0.5),
        motion=motion,
        layers=layers,
        gain=_triple(1 + rng.uniform(-amount, amount) + rng.uniform(-amount, amount, 3) / 2),
        offset=_triple(rng.uniform(-amount, amount) / 2 + rng.uniform(-amount, amount, 3) / 4),
        noise_seed=int(rng.integers(2**62)),
    )
    # After all of the draws above, which are the same whatever is on.
    return vary(scene, config, seed)


def _draw_layer(
    rng: np.random.Generator, config: SceneConfig, cutouts: int, kind: Kind, reach: float
) -> Layer:
    extent = snap_size(config.size * _log_uniform(rng, *config.extents))
    half = extent / config.size / 2
    x, y = rng.uniform(-half, 1 - half, 2)
    return Layer(
        number=int(rng.integers(cutouts)),
        extent=extent,
        origin=(float(x), float(y)),
        motion=(0.0, 0.0) if kind == "static" else _motion(rng, reach),
        flip=bool(rng.random() < 0.5),
    )


def _motion(rng: np.random.Generator, reach: float) -> tuple[float, float]:
    """Draw a displacement in any direction, its length uniform up to `reach` pixels."""
    length, angle = reach * rng.random(), rng.uniform(0, 2 * np.pi)
    return float(length * np.cos(angle)), float(length * np.sin(angle))


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _triple(values: Vector) -> tuple[float, float, float]:
    r, g, b = (float(v) for v in values)
    return r, g, b
