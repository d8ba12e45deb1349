"""Scenes as random draws: layers, their places and motions, and the factor.

The five kinds and the limits are those of Oh et al. (ECCV 2018, section 4): input motion up to
10 px, magnified motion up to 30 px, seven to fifteen objects that occlude one another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from magkit.synth.sources import snap_size

Kind = Literal["normal", "low-contrast", "background-motion", "static", "static-background"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneConfig:
    """Ranges of random scenes. Lengths are in pixels, motions are displacements from A to B."""

    size: int = field(default=384, metadata={"help": "side of the square frames, pixels"})
    factors: tuple[float, float] = field(
        default=(2.0, 300.0), metadata={"help": "range of the factor, log-uniform"}
    )
    max_motion: float = field(default=10.0, metadata={"help": "input motion at most, pixels"})
    magnified: tuple[float, float] = field(
        default=(0.5, 30.0), metadata={"help": "range of a scene's largest magnified motion"}
    )
    objects: tuple[int, int] = field(default=(7, 15), metadata={"help": "number of objects"})
    extents: tuple[float, float] = field(
        default=(0.08, 0.5), metadata={"help": "longer side of an object over the frame's side"}
    )
    zoom: tuple[float, float] = field(
        default=(0.8, 2.5), metadata={"help": "pixels of a picture to a pixel of the background"}
    )
    colour: float = field(default=0.1, metadata={"help": "greatest change of colour in B and M"})
    kinds: tuple[Kind, ...] = field(
        default=KINDS, metadata={"help": "kinds of scene, equally often"}
    )

    def __post_init__(self) -> None:
        if self.size < 16:
            raise ValueError("size must be at least 16 pixels")
        if not 1 <= self.factors[0] <= self.factors[1] <= 300:
            raise ValueError("factors must satisfy 1 <= low <= high <= 300")
        if not 0 < self.magnified[0] <= self.magnified[1]:
            raise ValueError("magnified must satisfy 0 < low <= high")
        if not self.max_motion > 0:
            raise ValueError("max_motion must be above 0")
        if not 0 <= self.objects[0] <= self.objects[1]:
            raise ValueError("objects must satisfy 0 <= low <= high")
        if not 0 < self.extents[0] <= self.extents[1] or not 0 < self.zoom[0] <= self.zoom[1]:
            raise ValueError("extents and zoom must satisfy 0 < low <= high")
        if not 0 <= self.colour < 1:
            raise ValueError("colour must be in [0, 1)")
        if not self.kinds or not set(self.kinds) <= set(KINDS):
            raise ValueError(f"kinds must be some of {', '.join(KINDS)}")

    @property
    def margin(self) -> int:
        """Pixels of background beyond the frame that motion may bring into it."""
        return int(np.ceil(self.magnified[1])) + 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One object: item `number` of its source, `extent` pixels long, its corner at `origin`."""

    number: int
    extent: int
    origin: tuple[float, float]  # (x, y) of the upper left corner in A, over the frame's side
    motion: tuple[float, float]  # (x, y) pixels from A to B
    flip: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All random draws of a scene."""

    index: int
    kind: Kind
    factor: float
    background: int
    zoom: float  # pixels of the background's picture to a pixel of the frame
    corner: tuple[float, float]  # where the frame is cut out of it, as fractions of the room left
    flip: bool
    motion: tuple[float, float]
    layers: tuple[Layer, ...]
    gain: tuple[float, float, float]
    offset: tuple[float, float, float]
    noise_seed: int


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
    return Scene(
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
