"""The sidecar of a folder of frames: what pictures don't tell."""

import json
import math
import re
from dataclasses import asdict, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from magkit.errors import MagkitError
from magkit.video.colour import MATRICES
from magkit.video.hdr import read_hdr
from magkit.video.info import VideoInfo

SIDECAR = "magkit.json"

_LARGEST = 1 << 26  # bytes: the times of two million frames

_FRACTIONS = ("rate", "pixel_aspect")
_TEXTS = ("color_range", "color_matrix", "color_primaries", "color_transfer")
_KNOWN = {*_FRACTIONS, *_TEXTS, "width", "height", "times", "bits", "hdr"}

# Neither an exponent nor endless digits: a fraction keeps them all.
_NUMBER = re.compile(r"\d{1,40}(\.\d{0,40}|/\d{1,40})?", re.ASCII)


def write_sidecar(folder: Path, info: VideoInfo) -> None:
    """Write what pictures don't tell; depth, times and HDR metadata only where they matter."""
    record: dict[str, Any] = {
        "rate": _spell(info.rate),
        "width": info.width,
        "height": info.height,
        "pixel_aspect": _spell(info.pixel_aspect),
        **{name: getattr(info, name) for name in _TEXTS},
    }
    if info.bits > 8:
        record["bits"] = info.bits
    if info.times is not None:
        record["times"] = info.times
    if info.hdr is not None:
        record["hdr"] = {name: value for name, value in asdict(info.hdr).items() if value}
    (folder / SIDECAR).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def read_sidecar(folder: Path, info: VideoInfo) -> VideoInfo:
    """`info` with what the folder's sidecar says; as it is where there is none.

    Args:
        folder: Of the frames.
        info: What the pictures tell: their size, and how many they are.

    Raises:
        MagkitError: The sidecar is not what magkit writes, or speaks of other frames.
    """
    path = folder / SIDECAR
    if not path.is_file():
        return info
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST >> 20} MiB")
        record = json.loads(path.read_text(encoding="utf-8-sig"))
        changes = _changes(record)
    except (OSError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as bad:
        raise MagkitError(
            f"{path} is not a sidecar that magkit writes: {bad}",
            hint="mend it, or delete it and the frames play at 24 a second",
        ) from bad
    _check_frames(path, record, info)
    return replace(info, **changes)


def _check_frames(path: Path, record: dict[str, Any], info: VideoInfo) -> None:
    size = (record.get("width", info.width), record.get("height", info.height))
    if size != (info.width, info.height):
        raise MagkitError(
            f"{path} is for frames of {size[0]}x{size[1]}, these are {info.width}x{info.height}",
            hint="delete it if the frames were replaced",
        )
    if "times" in record and info.frames is not None and len(record["times"]) != info.frames + 1:
        raise MagkitError(
            f"{path} has times of {len(record['times']) - 1} frames, there are {info.frames}",
            hint="delete its times if frames were taken away or added",
        )


def _changes(record: dict[str, Any]) -> dict[str, Any]:
    if stray := record.keys() - _KNOWN:
        raise ValueError(f"it has no entry {min(stray)!r}")
    changes: dict[str, Any] = {}
    for name in record.keys() & set(_FRACTIONS):
        changes[name] = _positive(name, record[name])
    for name in record.keys() & set(_TEXTS):
        # These names are handed to ffmpeg: nothing but a name may stand there.
        if not re.fullmatch(r"[a-z0-9-]+", record[name]):
            raise ValueError(f"{name} is no name: {record[name]!r}")
        changes[name] = record[name]
    if changes.get("color_range", "tv") not in {"tv", "pc"}:
        raise ValueError("color_range must be tv or pc")
    if changes.get("color_matrix", "bt709") not in MATRICES:
        raise ValueError(f"color_matrix must be one of {', '.join(sorted(MATRICES))}")
    if "bits" in record:
        changes["bits"] = _bits(record["bits"])
    if "times" in record:
        changes["times"] = _times(record["times"])
    if "hdr" in record:
        changes["hdr"] = read_hdr(record["hdr"])
    return changes


def _positive(name: str, value: Any) -> Fraction:
    if not _NUMBER.fullmatch(str(value)):
        raise ValueError(f"{name} must be a number above 0, such as 30000/1001, not {value!r:.40}")
    if (number := Fraction(str(value))) <= 0:
        raise ValueError(f"{name} must be above 0")
    return number


def _bits(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= 16:
        raise ValueError(f"bits must be 1 to 16, not {value!r:.40}")
    return value


def _times(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list) or any(type(one) not in {int, float} for one in values):
        raise ValueError("times must be a list of seconds")
    times = tuple(float(one) for one in values)
    if len(times) < 2 or times[0] != 0 or not all(map(math.isfinite, times)):
        raise ValueError("times must begin with 0, end with the end of the last frame, be finite")
    if any(after <= before for before, after in pairwise(times)):
        raise ValueError("times must rise")
    return times


def _spell(number: Fraction) -> str:
    return f"{number.numerator}/{number.denominator}"
