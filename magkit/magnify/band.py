"""Factor, mode and frequency band of a magnification, validated. Imports no torch."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from magkit.errors import UsageError

Mode = Literal["static", "dynamic", "follow"]
"""Reference of motion: the first frame, the previous one, or each place's smooth path."""

MAX_FACTOR = 300.0
AVERAGE, MAX_AVERAGE = 8, 64  # frames of a reference

_NUMBER = r"(\d+\.?\d*(?:e-?\d+)?|\.\d+)"
_EXAMPLE = "LO-HI in hertz, 0.4-3 for example; 0-HI takes everything below HI"


@dataclass(frozen=True, slots=True)
class Band:
    """The frequencies low to high, in Hz; a low of 0 means a low-pass.

    Raises:
        UsageError: not 0 <= low < high, or one isn't a finite number.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (0 <= self.low < self.high and math.isfinite(self.high)):
            raise UsageError(f"{self} is no band of frequencies", _EXAMPLE)

    def __str__(self) -> str:
        return f"{self.low:g}-{self.high:g} Hz"

    def check_rate(self, rate: float | Fraction) -> None:
        """Raise UsageError unless a frame rate is more than twice the upper edge (Nyquist)."""
        if not (rate > 0 and math.isfinite(rate)):
            raise UsageError(f"the rate of filming must be above 0, not {float(rate):g}")
        if not self.high < rate / 2:
            raise UsageError(
                f"the band {self} reaches half the clip's rate of {float(rate):g} frames a second",
                f"ask for less than {float(rate / 2):g} Hz, or say with --capture-fps how fast "
                "the scene was filmed",
            )


ANY_BAND = Band(1.0, 2.0)  # stands for one that is not known yet


def parse_band(text: str) -> Band:
    """Parse a band written LO-HI, in Hz.

    Raises:
        UsageError: the text has another form, or is no band.
    """
    match = re.fullmatch(rf"{_NUMBER}-{_NUMBER}", text.strip().lower())
    if match is None:
        raise UsageError(f"'{text}' is no band of frequencies", _EXAMPLE)
    return Band(float(match[1]), float(match[2]))


def parse_bands(texts: Sequence[str]) -> tuple[Band, ...]:
    """Parse bands, see `parse_band`, in ascending order.

    Raises:
        UsageError: one has another form or is no band, or two of them overlap.
    """
    return bands_of([parse_band(text) for text in texts])


def bands_of(band: Band | Sequence[Band] | None) -> tuple[Band, ...]:
    """Return no, one or several bands in ascending order.

    Raises:
        UsageError: two overlap or touch: what both let through would be magnified twice, or
            cancel out.
    """
    bands = [] if band is None else [band] if isinstance(band, Band) else list(band)
    bands.sort(key=lambda each: each.low)
    for below, above in pairwise(bands):
        if above.low <= below.high:
            whole = f"{below.low:g}-{max(below.high, above.high):g}"
            raise UsageError(
                f"the bands {below} and {above} overlap or touch", f"ask for the band {whole}"
            )
    return tuple(bands)


@dataclass(frozen=True, slots=True)
class Ramp:
    """A factor that grows, or falls, linearly with time from the first frame to the last.

    Raises:
        UsageError: a factor isn't from 0 to 300.
    """

    first: float
    last: float

    def __post_init__(self) -> None:
        for factor in (self.first, self.last):
            _check_factor(factor)

    def __str__(self) -> str:
        return f"{self.first:g}-{self.last:g}"

    def factors(self, times: Sequence[float]) -> list[float]:
        """Return the factor at each of ascending times; that of a single one is the first."""
        begin, length = times[0], times[-1] - times[0]
        parts = [(time - begin) / length if length else 0.0 for time in times]
        return [(1 - part) * self.first + part * self.last for part in parts]


def parse_ramp(text: str) -> Ramp:
    """Parse the factors of the first and the last frame, written A-B.

    Raises:
        UsageError: the text has another form, or a factor isn't from 0 to 300.
    """
    match = re.fullmatch(rf"{_NUMBER}-{_NUMBER}", text.strip().lower())
    if match is None:
        raise UsageError(f"'{text}' is no ramp of factors", "A-B, 1-20 for example")
    return Ramp(float(match[1]), float(match[2]))


def _check_factor(factor: float) -> None:
    if not 0 <= factor <= MAX_FACTOR:
        raise UsageError(
            f"the factor must be from 0 to {MAX_FACTOR:g}, not {factor:g}",
            "1 leaves a clip as it is, 0 removes its motion",
        )


def check_request(
    factor: float | Ramp,
    mode: Mode,
    band: Band | Sequence[Band] | None = None,
    limit: float | None = None,
    average: int | None = None,
) -> None:
    """Refuse invalid factors, limits and averages, and bands that a mode can't have.

    Raises:
        UsageError: the factor isn't from 0 to 300, the limit is negative, the average isn't from 1
            to 64 or not of mode static, two bands overlap, or there is a band in dynamic mode or
            one from 0 Hz in mode follow.
    """
    if not isinstance(factor, Ramp):
        _check_factor(factor)
    if limit is not None and not 0 <= limit < math.inf:
        raise UsageError(f"the limit must not be negative: {limit:g}", "0 means no limit")
    if average is not None and not 1 <= average <= MAX_AVERAGE:
        raise UsageError(f"the mean must be of 1 to {MAX_AVERAGE} frames, not {average}")
    if average is not None and mode != "static":
        raise UsageError(f"the mode {mode} has no reference that is a mean of frames")
    bands = bands_of(band)
    if bands and mode == "dynamic":
        # Differences of successive frames are a velocity: its filtered part, added to the frame,
        # would come a quarter of a period early and grow with the frequency.
        raise UsageError(
            "a band is cut out of the motion since the first frame: it needs the mode static",
            "leave out --mode dynamic, or the band",
        )
    if bands and mode == "follow" and bands[0].low == 0:
        raise UsageError(
            f"the band {bands[0]} includes the path that the mode follow leaves as it is",
            "ask for a band from above 0 Hz, or for the mode static",
        )
