"""Records of scenes: layers, their places and motions, and the ranges they are drawn from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, get_args

import numpy as np

from magkit.synth.deformation import Deformation

Kind = Literal["normal", "low-contrast", "background-motion", "static", "static-background"]
KINDS: tuple[Kind, ...] = get_args(Kind)


VARIETY = ("deform", "parallax", "far", "lines", "blur", "shutter", "light")
"""The settings that are shares of scenes; see `magkit.synth.variety`."""


OFF = {"off": True}  # marks fields that are recorded only where they differ from the default


def as_table(value: Any) -> Any:
    """Return a record as JSON's types, without settings that are off."""
    if is_dataclass(value):
        pairs = ((f, getattr(value, f.name)) for f in fields(value))
        kept = [(f.name, v) for f, v in pairs if not ("off" in f.metadata and v == f.default)]
        return {name: as_table(v) for name, v in kept}
    return [as_table(item) for item in value] if isinstance(value, tuple) else value


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
    # Settings that are off are not recorded: what was made without them keeps its description.
    deform: float = field(
        default=0.0, metadata={"help": "share of scenes whose layers deform smoothly", **OFF}
    )
    parallax: float = field(
        default=0.0, metadata={"help": "share of scenes that a moving camera sees", **OFF}
    )
    far: float = field(
        default=0.0, metadata={"help": "share of scenes with motions of far_motion", **OFF}
    )
    far_motion: tuple[float, float] = field(
        default=(10.0, 60.0),
        metadata={"help": "range of a far scene's largest input motion, pixels", **OFF},
    )
    far_magnified: float = field(
        default=80.0, metadata={"help": "largest magnified motion of a far scene, pixels", **OFF}
    )
    lines: float = field(
        default=0.0, metadata={"help": "share of scenes of a few lines on a plain ground", **OFF}
    )
    blur: float = field(default=0.0, metadata={"help": "share of scenes with motion blur", **OFF})
    shutter: float = field(
        default=0.0, metadata={"help": "share of scenes with a rolling shutter", **OFF}
    )
    light: float = field(
        default=0.0, metadata={"help": "share of scenes whose light drifts or flickers", **OFF}
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
        self._check_variety()

    def _check_variety(self) -> None:
        for name in VARIETY:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1]")
        if not 0 < self.far_motion[0] <= self.far_motion[1] <= self.far_magnified < math.inf:
            raise ValueError("far_motion and far_magnified must satisfy 0 < low <= high <= limit")

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
    # Beside the motion, about the object's centre.
    deformation: Deformation | None = field(default=None, metadata=OFF)

    @property
    def moves(self) -> bool:
        """Return whether it moves at all."""
        return any(self.motion) or self.deformation is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flicker:
    """The gain 1 + depth sin(vector . x + phase) of the light at place x of B and M."""

    depth: float
    vector: tuple[float, float]  # (x, y), radians over the frame's side
    phase: float


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
    # Of the background, beside the motion, about the frame's centre.
    deformation: Deformation | None = field(default=None, metadata=OFF)
    # The number of the plain ground that stands in for the picture.
    ground: int | None = field(default=None, metadata=OFF)
    # The last row's motion minus the first row's, over the motion.
    shutter: float = field(default=0.0, metadata=OFF)
    # How far A, and B and M, move while they are exposed, over the motion.
    exposure: tuple[float, float] = field(default=(0.0, 0.0), metadata=OFF)
    flicker: Flicker | None = field(default=None, metadata=OFF)
    # Whether motions may exceed `max_motion` and `magnified`.
    far: bool = field(default=False, metadata=OFF)

    @property
    def parts(self) -> tuple[Scene | Layer, ...]:
        """Return what moves on its own: the background, as the scene itself, and the objects."""
        return self, *self.layers

    @property
    def is_shifted(self) -> bool:
        """Return whether all there is to it is layers that are shifted, by no more than usual."""
        plain = self.ground is None and not (self.shutter or any(self.exposure) or self.far)
        return plain and all(part.deformation is None for part in self.parts)

    @property
    def moves(self) -> bool:
        """Return whether the background moves."""
        return any(self.motion) or self.deformation is not None
