"""Configuration and registration of `linear`. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from magkit.specs import MagnifierSpec

if TYPE_CHECKING:
    from magkit.magnify.classical import Linear


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearConfig:
    """How much which wavelengths are amplified."""

    cutoff: float = field(
        default=16.0,
        metadata={"help": "pixels: shorter waves are amplified less and less; 0: all alike"},
    )
    chroma: float = field(
        default=1.0, metadata={"help": "amplification of colour over that of brightness, 0 to 1"}
    )

    def __post_init__(self) -> None:
        if not 0 <= self.cutoff < math.inf:
            raise ValueError("cutoff must be a length in pixels, 0 or more")
        if not 0 <= self.chroma <= 1:
            raise ValueError("chroma must be from 0 to 1")


def build(config: LinearConfig) -> Linear:
    """Build the magnifier."""
    from magkit.magnify.classical import Linear

    return Linear(config)


SPEC = MagnifierSpec(
    name="linear",
    summary="linear Eulerian: the change of every pixel, amplified; no weights, small motions only",
    config=LinearConfig,
    build=build,
    paper="Wu et al., SIGGRAPH 2012, https://doi.org/10.1145/2185520.2185561",
)
