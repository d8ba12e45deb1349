"""Folders of frames: the lossless way in and out."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from magkit.errors import MagkitError
from magkit.video.depth import Depth, encode_png16
from magkit.video.frame_names import list_frames, natural_order
from magkit.video.frame_set import FrameSet, check_frames, frames_depth
from magkit.video.info import VideoInfo, plain_info
from magkit.video.kinds import SUFFIXES
from magkit.video.pictures import read_picture
from magkit.video.sidecar import SIDECAR, read_sidecar, write_sidecar

__all__ = [
    "DEFAULT_RATE",
    "SIDECAR",
    "SUFFIXES",
    "list_frames",
    "natural_order",
    "open_folder",
    "read_picture",
    "read_sidecar",
    "stream_pictures",
    "write_frame",
    "write_sidecar",
]

DEFAULT_RATE = Fraction(24)
"""Frames a second of a folder that has no sidecar (and of `magkit stitch`)."""

# Zlib's second level: a third larger than the best, five times as fast.
_COMPRESSION = 2


def open_folder(
    folder: Path,
    *,
    pattern: str = "*",
    bits: int | None = None,
    gaps: bool = False,
    deep: bool = False,
    rate: Fraction | None = None,
) -> tuple[VideoInfo, Callable[[int, int], Iterator[NDArray[Any]]]]:
    """The record of a folder of frames, and a function that streams the frames first <= n < last.

    The pictures are taken in natural order (2 before 10); other files and hidden ones are left out.

    Args:
        folder: Of the frames.
        pattern: A glob on their names, in any case; what doesn't match is left out.
        bits: How many of 16 bits are used, where files don't tell or tell wrongly.
        gaps: Whether numbers may be missing; each frame then comes at the time of its number.
        deep: Whether frames (H, W, 3) of more than 8 bits are uint16 with white at 65535; else all
            are uint8.
        rate: Frames a second; None: what the sidecar says, or 24.

    Raises:
        UsageError: No name matches the pattern, or the stated depth can't be.
        MagkitError: There is no picture, one is missing, there twice, of another size or of a kind
            that isn't read, or one can't be read.
    """
    frames = check_frames(
        folder,
        pattern=pattern,
        gaps=gaps,
        gaps_hint="--gaps takes the others, each at the time of its number",
    )
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
    depth = frames_depth(folder, frames.paths, frames.headers, bits, info.bits)
    wide = deep and depth.bits > 8
    stream = partial(stream_pictures, frames.paths, frames.size, depth=depth, deep=wide)
    return replace(info, bits=depth.bits), stream


def _timed_by_numbers(frames: FrameSet, info: VideoInfo) -> VideoInfo:
    """`info` with each frame at the time of its number, the first at 0, the last for 1 / rate."""
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
    """The pictures first <= n < last, one at a time: (H, W, 3) RGB of `size` (W, H).

    Args:
        paths: Of all pictures.
        size: Of each.
        first: Index of the first.
        last: Index after the last.
        depth: How 16-bit values are read; None: white is 65535.
        deep: Whether they come as uint16, or rounded to uint8.

    Raises:
        MagkitError: One can't be read, or is of another size.
    """
    for path in paths[first:last]:
        frame = read_picture(path, depth or Depth(), deep=deep)
        if (frame.shape[1], frame.shape[0]) != size:
            raise MagkitError(f"{path} changed its size while it was read")
        yield frame


def write_frame(folder: Path, index: int, frame: NDArray[Any]) -> None:
    """Write one frame (H, W, 3), uint8 or uint16, as a PNG of 8 or 16 bits, to the bit."""
    with (folder / f"{index:06d}.png").open("wb") as file:
        if frame.dtype == np.uint16:
            file.write(encode_png16(frame, _COMPRESSION))
        else:
            Image.fromarray(frame).save(file, "PNG", compress_level=_COMPRESSION)
