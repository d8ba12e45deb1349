"""Options and registration of the classical magnifiers, `linear`, `colour` and `phase`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

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


LINEAR_SPEC = MagnifierSpec(
    name="linear",
    summary="linear Eulerian: the change of every pixel, amplified; no weights, small motions only",
    config=LinearConfig,
    build="magkit.magnify.classical:Linear",
    paper="Wu et al., SIGGRAPH 2012, https://doi.org/10.1145/2185520.2185561",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourConfig:
    """The blur."""

    level: int = field(
        default=4,
        metadata={"help": "of the Gaussian pyramid: a square of side 2^level pixels becomes one"},
    )

    def __post_init__(self) -> None:
        if not 1 <= self.level <= 8:
            raise ValueError("level must be from 1 to 8")


COLOUR_SPEC = MagnifierSpec(
    name="colour",
    summary="Eulerian colour: the change of the blurred colour, amplified, as a pulse; no weights",
    config=ColourConfig,
    build="magkit.magnify.classical:Colour",
    paper="Wu et al., SIGGRAPH 2012, https://doi.org/10.1145/2185520.2185561",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseConfig:
    """The pyramid and the processing of its phases."""

    octaves: int = field(default=5, metadata={"help": "octaves of the pyramid; the rest stays"})
    orientations: int = field(default=4, metadata={"help": "directions of the filters"})
    per_octave: int = field(
        default=1, metadata={"help": "filters an octave: more allow larger motions, and ring more"}
    )
    sigma: float = field(
        default=1.0, metadata={"help": "texels: smoothing of the phases, by amplitude; 0: none"}
    )
    attenuate: bool = field(
        default=False, metadata={"help": "limit the motion to the filters' support"}
    )
    colour: Literal["rgb", "luma"] = field(
        default="rgb", metadata={"help": "move each channel, or brightness alone: a third the work"}
    )

    def __post_init__(self) -> None:
        if not 1 <= self.octaves <= 8:
            raise ValueError("octaves must be from 1 to 8")
        if not 2 <= self.orientations <= 16:
            raise ValueError("orientations must be from 2 to 16")
        if not 1 <= self.per_octave <= 4:
            raise ValueError("per_octave must be from 1 to 4")
        if not 0 <= self.sigma <= 32:
            raise ValueError("sigma must be from 0 to 32")


PHASE_SPEC = MagnifierSpec(
    name="phase",
    summary="phase-based: phases of a complex steerable pyramid, amplified; no weights",
    config=PhaseConfig,
    build="magkit.magnify.classical:Phase",
    paper="Wadhwa et al., SIGGRAPH 2013, https://doi.org/10.1145/2461912.2461966",
)
