"""Static HDR metadata: the mastering display and the light levels of a clip."""

import re
from dataclasses import dataclass
from typing import Any

Point = tuple[float, float]

_DECIMAL = re.compile(r"-?\d+\.\d+")

# cd/m2: the PQ transfer function ends at 10,000 (SMPTE ST 2084).
_BRIGHTEST = 10_000.0

_HIGHEST_LEVEL = 65_535  # CTA-861.3 stores 16 bits


@dataclass(frozen=True, slots=True)
class StaticHdr:
    """What a display is told once about a whole clip; None where the clip doesn't say.

    Source: SMPTE ST 2086 (mastering display), CTA-861.3 (light levels).

    Args:
        primaries: CIE 1931 (x, y) of red, green, blue and white of the mastering display.
        luminance: The lowest and the highest of the mastering display, in cd/m2.
        light_levels: MaxCLL and MaxFALL, the brightest pixel and the brightest mean of a frame, in
            cd/m2; 0 is unknown.

    Raises:
        ValueError: A value is out of range.
    """

    primaries: tuple[Point, Point, Point, Point] | None = None
    luminance: Point | None = None
    light_levels: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for point in self.primaries or ():
            if not all(0 < value < 1 for value in point):
                raise ValueError(f"chromaticities lie between 0 and 1, not at {point}")
        if self.luminance and not 0 <= self.luminance[0] < self.luminance[1] <= _BRIGHTEST:
            raise ValueError(f"no display has the luminances {self.luminance}")
        if self.light_levels and not all(
            0 <= level <= _HIGHEST_LEVEL for level in self.light_levels
        ):
            raise ValueError(f"light levels run from 0 to 65535, not {self.light_levels}")


def parse_hdr(text: str) -> StaticHdr | None:
    """Parse the side data that ffmpeg's showinfo prints of a frame.

    Values that can't be true count as absent, as do light levels that are both 0.

    Args:
        text: Lines such as "side data - Content light level metadata: MaxCLL=1000, MaxFALL=400".

    Returns:
        None where nothing is told.
    """
    told: dict[str, Any] = {}
    if match := re.search(r"Mastering display metadata: has_primaries:(\d) (.*)", text):
        numbers = [float(number) for number in _DECIMAL.findall(match[2])]
        if match[1] == "1" and len(numbers) == 10:
            told["primaries"] = tuple(zip(numbers[0:8:2], numbers[1:8:2], strict=True))
        if "has_luminance:1" in match[2] and len(numbers) == 10:
            told["luminance"] = (numbers[8], numbers[9])
    if match := re.search(r"Content light level metadata: MaxCLL=(\d+), MaxFALL=(\d+)", text):
        levels = int(match[1]), int(match[2])
        told |= {"light_levels": levels} if any(levels) else {}
    kept = {name: value for name, value in told.items() if _is_possible(name, value)}
    return StaticHdr(**kept) if kept else None


def read_hdr(record: Any) -> StaticHdr:
    """Read the JSON form of a record: an object with an entry for each field that is not None.

    Raises:
        ValueError: It has another form.
    """
    forms = {"primaries": (4, 2), "luminance": (2,), "light_levels": (2,)}
    if not isinstance(record, dict) or record.keys() - forms.keys():
        raise ValueError(f"hdr is an object with {', '.join(forms)}, not {record!r:.40}")
    return StaticHdr(
        **{name: _numbers(name, value, *forms[name]) for name, value in record.items()}
    )


def _numbers(name: str, value: Any, length: int, *inner: int) -> Any:
    if not isinstance(value, list) or len(value) != length:
        raise ValueError(f"{name} must be a list of {length}, not {value!r:.40}")
    if inner:
        return tuple(_numbers(name, one, *inner) for one in value)
    if any(type(one) not in ({int} if name == "light_levels" else {int, float}) for one in value):
        raise ValueError(f"{name} must be numbers, not {value!r:.40}")
    return tuple(value)


def _is_possible(name: str, value: Any) -> bool:
    try:
        StaticHdr(**{name: value})
    except ValueError:
        return False
    return True
