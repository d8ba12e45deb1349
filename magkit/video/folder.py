"""Folders of frames with a sidecar, the lossless format, read and written."""

import json
import logging
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from magkit.errors import MagkitError
from magkit.video.depth import Depth, encode_png16
from magkit.video.frame_names import list_frames
from magkit.video.frame_set import FrameSet, check_frames, frames_depth
from magkit.video.info import (
    DEFAULT_RATE,
    LUMA_WEIGHTS,
    FrameRangeReader,
    ReadOptions,
    StaticHdr,
    VideoInfo,
    plain_info,
)
from magkit.video.pictures import read_picture

SIDECAR = "magkit.json"

_MAX_BYTES = 1 << 26  # the times of two million frames

_FRACTIONS = ("rate", "pixel_aspect")
_TEXTS = ("color_range", "color_matrix", "color_primaries", "color_transfer")
_KNOWN = {*_FRACTIONS, *_TEXTS, "width", "height", "times", "bits", "hdr"}

# No exponents and a limited length, as a fraction keeps all digits.
_NUMBER = re.compile(r"\d{1,40}(\.\d{0,40}|/\d{1,40})?", re.ASCII)

# zlib's second level: files a third larger than the best, in a fifth of the time.
_COMPRESSION = 2


def open_folder(
    folder: Path,
    options: ReadOptions = ReadOptions(),  # noqa: B008 - it is frozen
) -> tuple[VideoInfo, FrameRangeReader]:
    """Open a folder of frames, in natural order (2 before 10); hidden files are left out.

    Returns:
        The record, and a function that streams frames first <= n < last, (H, W, 3) RGB.

    Raises:
        UsageError: No name matches the pattern, or the stated depth is impossible.
        MagkitError: There is no picture, one is missing, duplicated, of another size or of an
            unsupported format, or one can't be read.
    """
    frames = check_frames(
        folder, options, gaps_hint="--gaps takes the others, each at the time of its number"
    )
    rate = options.rate
    plain = plain_info(*frames.size, rate or DEFAULT_RATE, len(frames.paths))
    info = read_sidecar(folder, plain)
    if rate is not None:
        info = replace(info, rate=rate, times=None)
    elif not (folder / SIDECAR).is_file():
        logging.getLogger(__name__).info(
            "%s tells no rate: it plays at %s frames a second; --fps states another",
            *(folder, DEFAULT_RATE),
        )
    if frames.missing.count and info.times is None:
        info = _timed_by_numbers(frames, info)
    depth = frames_depth(folder, frames.paths, frames.headers, options.bits, info.bits)
    wide = options.deep and depth.bits > 8
    stream = partial(stream_pictures, frames.paths, frames.size, depth=depth, deep=wide)
    grey = all(header.is_grey for header in frames.headers)
    return replace(info, bits=depth.bits, grey=grey), stream


def _timed_by_numbers(frames: FrameSet, info: VideoInfo) -> VideoInfo:
    """`info` with each frame at the time of its number; the last frame is shown for 1 / rate."""
    first, last = frames.numbers[0], frames.numbers[-1]
    if list(frames.numbers) != sorted(frames.numbers):
        raise MagkitError(
            f"the numbers of {frames.paths[0].parent} don't rise in the order of the names",
            hint="rename the frames: they need one rising number each",
        )
    times = tuple(float((number - first) / info.rate) for number in frames.numbers)
    end = (last + 1 - first) / info.rate
    return replace(info, rate=len(times) / end, times=(*times, float(end)))


def stream_pictures(
    paths: Sequence[Path],
    size: tuple[int, int],
    first: int = 0,
    last: int | None = None,
    *,
    depth: Depth | None = None,
    deep: bool = False,
) -> Iterator[NDArray[Any]]:
    """Stream pictures first <= n < last of `size` (width, height), (H, W, 3) RGB.

    Args:
        paths: Of all pictures.
        size: Of each.
        first: Index of the first.
        last: Index after the last.
        depth: Scale of 16-bit values; None: white is 65535.
        deep: Return uint16 instead of uint8.

    Raises:
        MagkitError: One can't be read, or has another size.
    """
    for path in paths[first:last]:
        frame = read_picture(path, depth or Depth(), deep=deep)
        if (frame.shape[1], frame.shape[0]) != size:
            raise MagkitError(f"{path} changed its size while it was read")
        yield frame


def write_frame(folder: Path, index: int, frame: NDArray[Any]) -> None:
    """Write a frame, (H, W, 3) or greys (H, W), losslessly as a PNG of 8 or 16 bits."""
    with (folder / f"{index:06d}.png").open("wb") as file:
        if frame.dtype == np.uint16:
            file.write(encode_png16(frame, _COMPRESSION))
        else:
            Image.fromarray(frame).save(file, "PNG", compress_level=_COMPRESSION)


def write_sidecar(folder: Path, info: VideoInfo) -> None:
    """Write the sidecar; depth, times and HDR metadata only where they are not the default."""
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
    """`info` with the entries of the folder's sidecar, if there is one.

    Raises:
        MagkitError: The sidecar is invalid, or describes frames of another size or number.
    """
    path = folder / SIDECAR
    if not path.is_file():
        return info
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES >> 20} MiB")
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
        # These names are passed to ffmpeg.
        if not re.fullmatch(r"[a-z0-9-]+", record[name]):
            raise ValueError(f"{name} is no name: {record[name]!r}")
        changes[name] = record[name]
    if changes.get("color_range", "tv") not in {"tv", "pc"}:
        raise ValueError("color_range must be tv or pc")
    if changes.get("color_matrix", "bt709") not in LUMA_WEIGHTS:
        raise ValueError(f"color_matrix must be one of {', '.join(sorted(LUMA_WEIGHTS))}")
    if "bits" in record:
        changes["bits"] = _bits(record["bits"])
    if "times" in record:
        changes["times"] = _times(record["times"])
    if "hdr" in record:
        changes["hdr"] = hdr_from_json(record["hdr"])
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


def hdr_from_json(record: Any) -> StaticHdr:
    """Parse HDR metadata of a sidecar, an object with an entry for each field that is not None.

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


def other_files(folder: Path) -> list[Path]:
    """The files of a folder that are neither frames nor hidden nor the sidecar."""
    frames = set(list_frames(folder))
    rest = (path for path in folder.iterdir() if path not in frames)
    return sorted(path for path in rest if path.name[0] != "." and path.name != SIDECAR)
