"""Folders of frames: the lossless way in and out, with a sidecar for what pictures don't tell."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from magkit.errors import MagkitError
from magkit.video.info import VideoInfo, plain_info
from magkit.video.pictures import to_rgb, upright_size
from magkit.video.ycbcr import MATRICES

DEFAULT_RATE = Fraction(24)
"""Frames a second of a folder that has no sidecar (and of `magkit stitch`)."""

SIDECAR = "magkit.json"
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})

# Zlib's second level: a third larger than the best, five times as fast.
_COMPRESSION = 2

_TEXTS = ("color_range", "color_matrix", "color_primaries", "color_transfer")


def open_folder(
    folder: Path,
) -> tuple[VideoInfo, Callable[[int, int], Iterator[NDArray[np.uint8]]]]:
    """The record of a folder of frames, and a function that streams the frames first <= n < last.

    The pictures are taken in natural order (2 before 10); other files and hidden ones are left out.

    Raises:
        MagkitError: There is no picture, they differ in size, or one can't be read.
    """
    paths = list_frames(folder)
    if not paths:
        kinds = ", ".join(sorted(SUFFIXES))
        raise MagkitError(f"{folder} holds no frames", hint=f"a frame is a file named {kinds}")
    size = common_size(paths)
    info = read_sidecar(folder, plain_info(*size, DEFAULT_RATE, len(paths)))
    return info, partial(stream_pictures, paths, size)


def list_frames(folder: Path) -> list[Path]:
    """The pictures of a folder, in natural order."""
    found = (p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    return sorted((p for p in found if p.is_file() and p.name[0] != "."), key=natural_order)


def natural_order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """A key by which paths are sorted as people count: 2 before 10."""
    parts = re.findall(r"\d+|\D+", path.name.lower())
    key = [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
    return key, path.name


def common_size(paths: Sequence[Path]) -> tuple[int, int]:
    """Width and height of pictures that all have one size; no pixels are read.

    Raises:
        MagkitError: They differ in size, or one can't be read.
    """
    width, height = size = _size(paths[0])
    for path in paths:
        if (other := _size(path)) != size:
            raise MagkitError(
                f"{path} is {other[0]}x{other[1]}, but the frames before it are {width}x{height}",
                hint="all frames of a clip must have one size",
            )
    return size


def _size(path: Path) -> tuple[int, int]:
    with _picture(path) as image:
        return upright_size(image)


def stream_pictures(
    paths: Sequence[Path], size: tuple[int, int], first: int = 0, last: int | None = None
) -> Iterator[NDArray[np.uint8]]:
    """The pictures first <= n < last, one at a time: (H, W, 3) uint8 RGB of `size` (W, H).

    Raises:
        MagkitError: One can't be read, or is of another size.
    """
    for path in paths[first:last]:
        frame = read_picture(path)
        if (frame.shape[1], frame.shape[0]) != size:
            raise MagkitError(f"{path} changed its size while it was read")
        yield frame


def read_picture(path: Path) -> NDArray[np.uint8]:
    """One picture as (H, W, 3) uint8 RGB.

    Raises:
        MagkitError: It can't be read.
    """
    with _picture(path) as image:
        try:
            return to_rgb(image)
        except (OSError, SyntaxError, ValueError) as error:
            raise MagkitError(f"{path} is damaged: {error}") from error
        except MagkitError as error:
            raise MagkitError(f"{path} can't be read: {error.message}", error.hint) from error


def _picture(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except (UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError) as error:
        raise MagkitError(f"{path} is not a picture that can be read") from error
    except OSError as error:
        raise MagkitError(f"{path} can't be read: {error.strerror or error}") from error


def write_frame(folder: Path, index: int, frame: NDArray[np.uint8]) -> None:
    """Write one frame as a PNG, to the bit."""
    Image.fromarray(frame).save(folder / f"{index:06d}.png", compress_level=_COMPRESSION)


def write_sidecar(folder: Path, info: VideoInfo) -> None:
    """Write what the pictures of a folder don't tell."""
    record = {
        "rate": _spell(info.rate),
        "width": info.width,
        "height": info.height,
        "pixel_aspect": _spell(info.pixel_aspect),
        **{name: getattr(info, name) for name in _TEXTS},
    }
    (folder / SIDECAR).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def read_sidecar(folder: Path, info: VideoInfo) -> VideoInfo:
    """`info` with what the folder's sidecar says; as it is where there is none.

    Raises:
        MagkitError: The sidecar is not what magkit writes, or speaks of other frames.
    """
    path = folder / SIDECAR
    if not path.is_file():
        return info
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        changes = _changes(record)
    except (OSError, ValueError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise MagkitError(
            f"{path} is not a sidecar that magkit writes: {error}",
            hint="mend it, or delete it and the frames play at 24 a second",
        ) from error
    size = (record.get("width", info.width), record.get("height", info.height))
    if size != (info.width, info.height):
        raise MagkitError(
            f"{path} is for frames of {size[0]}x{size[1]}, these are {info.width}x{info.height}",
            hint="delete it if the frames were replaced",
        )
    return replace(info, **changes)


def _changes(record: dict[str, Any]) -> dict[str, Any]:
    known = {field.name for field in fields(VideoInfo)}
    if stray := record.keys() - known:
        raise ValueError(f"it has no entry {min(stray)!r}")
    changes: dict[str, Any] = {}
    for name in record.keys() & {"rate", "pixel_aspect"}:
        changes[name] = Fraction(record[name])
        if changes[name] <= 0:
            raise ValueError(f"{name} must be above 0")
    for name in record.keys() & set(_TEXTS):
        # These names are handed to ffmpeg: nothing but a name may stand there.
        if not re.fullmatch(r"[a-z0-9-]+", record[name]):
            raise ValueError(f"{name} is no name: {record[name]!r}")
        changes[name] = record[name]
    if changes.get("color_range", "tv") not in {"tv", "pc"}:
        raise ValueError("color_range must be tv or pc")
    if changes.get("color_matrix", "bt709") not in MATRICES:
        raise ValueError(f"color_matrix must be one of {', '.join(sorted(MATRICES))}")
    return changes


def _spell(number: Fraction) -> str:
    return f"{number.numerator}/{number.denominator}"
