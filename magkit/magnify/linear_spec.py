"""Options and registration of the magnifier `linear`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from magkit.specs import MagnifierSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearConfig:
    """The amplification of each wavelength and of colour."""

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


SPEC = MagnifierSpec(
    name="linear",
    summary="linear Eulerian: the change of every pixel, amplified; no weights, small motions only",
    config=LinearConfig,
    build="magkit.magnify.classical:Linear",
    paper="Wu et al., SIGGRAPH 2012, https://doi.org/10.1145/2185520.2185561",
)
