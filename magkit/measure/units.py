"""Pixels to physical units, and amplitudes to peak, peak to peak or root mean square."""

from __future__ import annotations

import math
import re
from typing import Literal, get_args

from magkit.errors import UsageError, did_you_mean

Unit = Literal["px", "um", "mm", "mil", "in", "mm/s", "in/s", "g"]
UNITS: tuple[Unit, ...] = get_args(Unit)
Reading = Literal["peak", "pp", "rms"]

GRAVITY = 9806.65  # mm/s^2, by definition (CGPM 1901)
INCH = 25.4  # mm
# Millimetres of each unit of length; and of each unit with time, with the power of 2 pi f.
LENGTHS = {"um": 1e-3, "mm": 1.0, "mil": INCH / 1000, "in": INCH}
RATES = {"mm/s": (1.0, 1), "in/s": (INCH, 1), "g": (GRAVITY, 2)}
READINGS: dict[Reading, float] = {"peak": 1.0, "pp": 2.0, "rms": math.sqrt(0.5)}

_LENGTH = re.compile(r"([0-9.eE+-]+) *(um|mm|cm|m|mil|in)")
_RATIO = re.compile(r"([0-9.eE+-]+) *px/(mm|in)")


def parse_scale(text: str) -> float:
    """Return the millimetres of a pixel.

    Args:
        text: two points and the length between them, "X1,Y1,X2,Y2=120mm", or "3.5px/mm".

    Raises:
        UsageError: it is neither, or the length or the distance is 0.
    """
    if match := _RATIO.fullmatch(text.strip()):
        return _positive(
            text, (INCH if match[2] == "in" else 1.0) / (_number(match[1]) or math.nan)
        )
    points, _, length = text.partition("=")
    match, numbers = (
        _LENGTH.fullmatch(length.strip()),
        [_number(each) for each in points.split(",")],
    )
    if match is None or len(numbers) != 4:
        raise _no_scale(text)
    distance = math.hypot(numbers[2] - numbers[0], numbers[3] - numbers[1])
    units = {**LENGTHS, "cm": 10.0, "m": 1000.0}
    return _positive(text, _number(match[1]) * units[match[2]] / (distance or math.nan))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _positive(text: str, scale: float) -> float:
    if not 0 < scale < math.inf:
        raise _no_scale(text)
    return scale


def _no_scale(text: str) -> UsageError:
    return UsageError(
        f"'{text}' is no scale", "two points and their distance, 10,40,310,40=120mm, or 3.5px/mm"
    )


def check_unit(unit: str, scale: float | None) -> None:
    """Refuse a unit that doesn't exist, or that needs a scale.

    Raises:
        UsageError: it is so.
    """
    if unit not in UNITS:
        raise UsageError(f"'{unit}' is no unit", did_you_mean(unit, UNITS))
    if unit != "px" and scale is None:
        raise UsageError(f"{unit} needs the size of a pixel", "--scale X1,Y1,X2,Y2=120mm")


def converted(
    pixels: float, frequency: float, unit: Unit, scale: float | None, reading: Reading = "peak"
) -> float:
    """Return the amplitude of a sine in a unit.

    Args:
        pixels: its amplitude, half of peak to peak.
        frequency: Hz, for velocities and accelerations.
        unit: one of `UNITS`.
        scale: millimetres of a pixel; None: unknown, for pixels only.
        reading: "peak", "pp" (peak to peak) or "rms".
    """
    size = pixels * READINGS[reading]
    if unit == "px":
        return size
    assert scale is not None
    if unit in LENGTHS:
        return size * scale / LENGTHS[unit]
    divisor, power = RATES[unit]
    return size * scale * (2 * math.pi * frequency) ** power / divisor


def length_unit(unit: Unit, scale: float | None) -> tuple[str, float]:
    """Return the unit of waveforms, and how many of it a pixel has: a length for every unit."""
    if scale is None or unit == "px":
        return "px", 1.0
    name = unit if unit in LENGTHS else {"mm/s": "mm", "in/s": "in", "g": "mm"}[unit]
    return name, scale / LENGTHS[name]
