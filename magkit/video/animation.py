"""Animated pictures: GIF and PNG composed here, WebP by libwebp through imageio.v3."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import imageio.v3 as iio
from numpy.typing import NDArray

from magkit.errors import MagkitError
from magkit.video.animation_frames import StoredAnimation, open_apng, open_gif
from magkit.video.depth import Depth, eight_bits, find_depth
from magkit.video.info import VideoInfo, plain_info
from magkit.video.kinds import READABLE, is_picture, is_stack, kind_of, unread_kind
from magkit.video.pictures import decoding, on_black, open_picture
from magkit.video.stack import open_stack

__all__ = ["is_picture", "is_stack", "open_animation"]

# Browsers show a frame of 10 ms or less for 100. Only in a GIF, which counts hundredths of a
# second, is that what files mean: programs write 0 or 1 where nobody set a delay. Other formats
# are taken at their word, but for 0.
_SHORTEST = {"GIF": Fraction(1, 100)}
_REPLACEMENT = Fraction(1, 10)

Frames = Callable[[int, int], Iterator[NDArray[Any]]]


def open_animation(
    path: Path,
    *,
    bits: int | None = None,
    deep: bool = False,
    rate: Fraction | None = None,
) -> tuple[VideoInfo, Frames]:
    """The record of a moving picture, and a function that streams the frames first <= n < last.

    The file is gone through once here, for only that tells how long each frame is shown. Frames
    shown for different times get their times, and the mean rate; others one exact rate. A TIFF of
    many pages is a stack (see `open_stack`).

    Args:
        path: Of the file.
        bits: How many of 16 bits are used in a stack or PNG, where it doesn't tell.
        deep: Whether frames (H, W, 3) of a stack or PNG of more than 8 bits are uint16 with white
            at 65535; else all are uint8.
        rate: Frames a second, in place of what the file says.

    Raises:
        UsageError: The stated depth can't be.
        MagkitError: It is a still picture, of a kind that isn't read, or damaged.
    """
    kind = kind_of(path)
    if kind is not None and kind not in READABLE:
        raise unread_kind(path, kind)
    if kind == "TIFF":
        return open_stack(path, bits=bits, deep=deep, rate=rate)
    with open_picture(path) as picture:  # refuses what is no picture, and what is too large
        size = picture.image.size
        pages = picture.pages if kind == "WebP" else 1
    if kind in {"PNG", "GIF"}:
        stored = open_gif(path) if kind == "GIF" else open_apng(path)
        if stored is not None and (kind == "GIF" or len(stored.pictures) > 1):
            return _open_stored(stored, kind, bits=bits, deep=deep, rate=rate)
    if pages < 2:
        raise MagkitError(
            f"{path} is a still picture", hint="give a video, or the folder with all the frames"
        )
    eight_bits(path, bits)
    return _record(size, _delays(path, pages), rate), partial(_stream, path)


def _open_stored(
    stored: StoredAnimation, kind: str, *, bits: int | None, deep: bool, rate: Fraction | None
) -> tuple[VideoInfo, Frames]:
    delays = [_shown(picture.delay, kind) for picture in stored.pictures]
    depth = _find_depth(stored, bits)
    wide = deep and depth.bits > 8

    def stream(first: int, last: int) -> Iterator[NDArray[Any]]:
        with decoding(stored.path):  # a value may be above full scale
            for frame in stored.frames(first, last):
                yield depth.frame(frame, deep=wide)

    return replace(_record(stored.size, delays, rate), bits=depth.bits), stream


def _find_depth(stored: StoredAnimation, bits: int | None) -> Depth:
    if not stored.deep:
        return eight_bits(stored.path, bits)

    def read(number: int) -> NDArray[Any]:
        alone = replace(stored, pictures=stored.pictures[number : number + 1])
        return next(alone.frames(0, 1))

    return find_depth(stored.path, [stored.declared] * len(stored.pictures), bits, read)


def _record(size: tuple[int, int], delays: Sequence[Fraction], rate: Fraction | None) -> VideoInfo:
    """The record of frames that are shown for so many seconds each."""
    mean = len(delays) / sum(delays, start=Fraction(0))
    info = plain_info(*size, rate or mean, len(delays))
    if rate is None and len(set(delays)) > 1:
        return replace(info, times=tuple(float(time) for time in accumulate(delays, initial=0)))
    return info


def _shown(delay: Fraction, kind: str) -> Fraction:
    """How many seconds a frame is shown whose file says `delay`."""
    return delay if delay > _SHORTEST.get(kind, 0) else _REPLACEMENT


def _delays(path: Path, pages: int) -> list[Fraction]:
    """How many seconds each frame of a WebP is shown; all are decoded."""
    with _open_frames(path) as file:
        told = [file.metadata(index=n).get("duration") for n, _ in enumerate(file.iter())]
    if len(told) < pages:
        raise MagkitError(
            f"{path} breaks off after {len(told)} frames", hint="copy the file once more"
        )
    return [_shown(Fraction(int(milliseconds or 0), 1000), "WebP") for milliseconds in told]


@contextmanager
def _open_frames(path: Path) -> Iterator[Any]:
    with (
        decoding(path),
        path.open("rb") as opened,
        iio.imopen(opened, "r", plugin="pillow") as file,
    ):
        yield file


def _stream(path: Path, first: int, last: int) -> Iterator[NDArray[Any]]:
    with _open_frames(path) as file:
        for index, frame in enumerate(file.iter(mode="RGBA")):
            if index >= last:
                return
            if index >= first:
                yield on_black(frame)
