"""Options, presets and registration of the method `warp`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from magkit.specs import MethodSpec, Preset


@dataclass(frozen=True, slots=True, kw_only=True)
class WarpedFramesConfig:
    """Displacements, noise and coding of the frames, and which parameters are trained."""

    amplitude: tuple[float, float] = field(
        default=(0.02, 4.0), metadata={"help": "range of a displacement's amplitude, pixels"}
    )
    clean_amplitude: tuple[float, float] = field(
        default=(0.02, 0.5), metadata={"help": "likewise where a frame is not coded"}
    )
    factors: tuple[float, float] = field(
        default=(2.0, 100.0), metadata={"help": "range of the factor, log-uniform"}
    )
    noise: float = field(default=0.25, metadata={"help": "greatest strength of photon noise"})
    read_noise: float = field(
        default=0.01, metadata={"help": "greatest standard deviation of read noise; 1 is white"}
    )
    coded: float = field(
        default=0.9, metadata={"help": "share of frames coded as H.264, but for a quarter of them"}
    )
    parts: float = field(
        default=0.6, metadata={"help": "share of warped frames in which only some shapes move"}
    )
    frozen: str = field(
        default="", metadata={"help": "patterns of parameters that stay, separated by commas"}
    )

    def __post_init__(self) -> None:
        for name in ("amplitude", "clean_amplitude"):
            low, high = getattr(self, name)
            if not 0 < low <= high <= 16:
                raise ValueError(f"{name} must satisfy 0 < low <= high <= 16 pixels")
        if not 1 < self.factors[0] <= self.factors[1] < math.inf:
            raise ValueError("factors must satisfy 1 < low <= high")
        for name in ("noise", "read_noise", "coded", "parts"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class WarpConfig(WarpedFramesConfig):
    """The frames, weights of the loss terms, and the teacher."""

    image: float = field(
        default=1.0, metadata={"help": "weight of the magnified picture's errors; 0: none is made"}
    )
    still: float = field(
        default=8.0, metadata={"help": "weight of motion shown in still frames, per pixel of it"}
    )
    clean: float = field(
        default=6.0, metadata={"help": "weight of errors of motion where a frame is not coded"}
    )
    real: float = field(
        default=1.0, metadata={"help": "weight of errors of motion between frames of clips"}
    )
    tau: float = field(default=0.99, metadata={"help": "decay of the teacher's average"})

    def __post_init__(self) -> None:
        # `super()` does not work in a dataclass with slots.
        WarpedFramesConfig.__post_init__(self)
        for name in ("image", "still", "clean", "real"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must not be negative")
        if not 0 <= self.tau <= 1:
            raise ValueError("tau must be in [0, 1]")


SPEC = MethodSpec(
    name="warp",
    summary="known displacements of real frames, noise and coding, on the whole magnifier",
    config=WarpConfig,
    trains="magnifier",
    build="magkit.selfsup.warp:build",
    presets={
        "small": Preset(
            why="for clips of some seconds on a CPU: 8 windows of 128 pixels a step",
            settings={"steps": 600, "batch": 8, "size": 128, "lr": 4e-4},
        ),
        "adapt": Preset(
            why="as small, but only what measures displacement is trained: pictures are rendered"
            " as before",
            settings={"steps": 400, "batch": 8, "size": 128, "lr": 4e-4},
            options={"frozen": "encoder.*,renderer.*", "image": 0},
        ),
    },
)
