"""What may be asked of magnification: a factor, and a band of frequencies. Imports no torch."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from magkit.errors import UsageError

MAX_FACTOR = 300.0

_NUMBER = r"(\d+\.?\d*(?:e-?\d+)?|\.\d+)"
_EXAMPLE = "LO-HI in hertz, 0.4-3 for example; 0-HI takes everything below HI"


@dataclass(frozen=True, slots=True)
class Band:
    """The frequencies low to high, in Hz; a low of 0 means everything below high.

    Raises:
        UsageError: Not 0 <= low < high, or one isn't a finite number.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (0 <= self.low < self.high and math.isfinite(self.high)):
            raise UsageError(f"{self} is no band of frequencies", _EXAMPLE)

    def __str__(self) -> str:
        return f"{self.low:g}-{self.high:g} Hz"

    def check_rate(self, rate: float | Fraction) -> None:
        """Raise UsageError where frames come too slowly to show the band: at least 2 a cycle."""
        if not self.high < rate / 2:
            raise UsageError(
                f"the band {self} reaches half the clip's rate of {float(rate):g} frames a second",
                f"ask for less than {float(rate / 2):g} Hz, or say with --capture-fps how fast "
                "the scene was filmed",
            )


def parse_band(text: str) -> Band:
    """A band written LO-HI, in Hz.

    Raises:
        UsageError: The text is something else, or no band.
    """
    match = re.fullmatch(rf"{_NUMBER}-{_NUMBER}", text.strip().lower())
    if match is None:
        raise UsageError(f"'{text}' is no band of frequencies", _EXAMPLE)
    return Band(float(match[1]), float(match[2]))


def check_factor(factor: float) -> None:
    """Raise UsageError unless 0 <= factor <= 300."""
    if not 0 <= factor <= MAX_FACTOR:
        raise UsageError(
            f"the factor must be from 0 to {MAX_FACTOR:g}, not {factor:g}",
            "1 leaves a clip as it is, 0 removes its motion",
        )
