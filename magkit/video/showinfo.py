"""Size, pixel format, colours and HDR metadata of frames, parsed from ffmpeg's showinfo filter."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from magkit.errors import MagkitError
from magkit.video.ffmpeg import PixelFormat, pixel_format
from magkit.video.info import LUMA_WEIGHTS, UNKNOWN, ColorRange, StaticHdr, guess_standard


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """A decoded frame.

    Args:
        width: Pixels.
        height: Pixels.
        time: Seconds from the run's zero, or None.
        pixel_aspect: A pixel's width over its height.
        interlaced: Whether it holds two fields.
        pixels: Its pixel format.
        decode_range: Range of stored luma: "tv", "pc", or "auto" for RGB.
        color_range: Range of luma in a result.
        color_matrix: As tagged, or guessed from the frame's size.
        color_primaries: As tagged, or guessed.
        color_transfer: As tagged, or guessed.
    """

    width: int
    height: int
    time: float | None
    pixel_aspect: Fraction
    interlaced: bool
    pixels: PixelFormat
    decode_range: str
    color_range: ColorRange
    color_matrix: str
    color_primaries: str
    color_transfer: str


def parse_frame(frame: str, colors: str) -> FrameInfo:
    """Parse the lines that begin with "n:" and with "color_range:".

    Raises:
        MagkitError: They are written in another way.
    """
    width, height = (int(n) for n in _find(r" s:(\d+)x(\d+)", frame))
    (time,) = _find(r" pts_time:(-?[\d.e+-]+|NOPTS)", frame)
    (field,) = _find(r" i:(\w)", frame)
    pixels = pixel_format(_find(r" fmt:(\S+)", frame)[0])
    decode_range, color_range = _ranges(pixels.name, _color(colors, "range"))
    matrix, primaries, transfer = _standard(colors, width, height)
    return FrameInfo(
        width,
        height,
        None if time == "NOPTS" else float(time),
        _aspect(frame),
        field in "TB",
        pixels,
        decode_range,
        color_range,
        matrix,
        primaries,
        transfer,
    )


def _find(pattern: str, text: str) -> tuple[str, ...]:
    match = re.search(pattern, text)
    if match is None:
        raise MagkitError(f"this ffmpeg describes frames in a way unknown to magkit: {text}")
    return match.groups()


def _aspect(frame: str) -> Fraction:
    """The pixel aspect; 0/1 means unknown, and is read as 1."""
    wide, high = (int(n) for n in _find(r" sar:(\d+)/(\d+)", frame))
    return Fraction(wide, high) if wide and high else Fraction(1)


def _color(colors: str, what: str) -> str:
    match = re.search(rf"color_{what}:(\S+)", colors)
    value = match[1] if match else UNKNOWN
    return UNKNOWN if value in {"reserved", "unspecified", "nil"} else value


def _ranges(pixels: str, tagged: str) -> tuple[str, ColorRange]:
    """The range of stored luma, and that of a result."""
    if re.match(r"yuvj", pixels):
        return "pc", "pc"
    if not re.match(r"yuv|nv|p0|p2|p4|uyvy|yuyv|gray|ya|y2|xv|ayuv|vuy|v30", pixels):
        return "auto", "tv"  # RGB and palettes
    if tagged in {"tv", "pc"}:
        return tagged, "pc" if tagged == "pc" else "tv"
    # Untagged YCbCr is studio range by every standard; bare grey comes from pictures.
    return ("pc", "pc") if pixels.startswith(("gray", "ya")) else ("tv", "tv")


def _standard(colors: str, width: int, height: int) -> tuple[str, str, str]:
    """Matrix, primaries and transfer as tagged, or guessed from the size without a matrix."""
    guess = guess_standard(width, height)
    tagged = _color(colors, "space")
    primaries, transfer = _color(colors, "primaries"), _color(colors, "trc")
    if tagged in LUMA_WEIGHTS:
        return tagged, primaries, transfer
    if tagged not in {UNKNOWN, "gbr"}:
        raise MagkitError(
            f"its colours are stored as {tagged}, which magkit can't convert",
            hint="convert it to BT.709 with the program that made it",
        )
    return (
        guess,
        guess if primaries == UNKNOWN else primaries,
        guess if transfer == UNKNOWN else transfer,
    )


_DECIMAL = re.compile(r"-?\d+\.\d+")


def parse_hdr(text: str) -> StaticHdr | None:
    """Parse the HDR side data of a frame.

    Impossible values and light levels that are both 0 count as absent.

    Args:
        text: Lines such as "side data - Content light level metadata: MaxCLL=1000, MaxFALL=400".

    Returns:
        None without any value.
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


def _is_possible(name: str, value: Any) -> bool:
    try:
        StaticHdr(**{name: value})
    except ValueError:
        return False
    return True
