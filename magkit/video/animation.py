"""Animated pictures: GIF and PNG composed by magkit, WebP by libwebp through imageio.v3."""

from collections.abc import Iterator, Sequence
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
from magkit.video.animation_frames import ParsedAnimation, open_apng, open_gif
from magkit.video.depth import Depth, find_depth, require_8_bit
from magkit.video.formats import READABLE, still_picture, unsupported_format
from magkit.video.info import FrameRangeReader, ReadOptions, VideoInfo, plain_info
from magkit.video.pictures import composite_on_black, decode_errors, open_picture
from magkit.video.tiff import open_stack

# Browsers show a frame of 10 ms or less for 100 ms: programs write a GIF's delay as 0 or 1
# hundredths where none was set. Of other formats only a delay of 0 is replaced.
_SHORTEST = {"GIF": Fraction(1, 100)}
_REPLACEMENT = Fraction(1, 10)


def open_animation(
    path: Path,
    kind: str,
    options: ReadOptions = ReadOptions(),  # noqa: B008 - it is frozen
) -> tuple[VideoInfo, FrameRangeReader]:
    """Open an animated picture or a TIFF stack.

    The file is scanned once for the durations of its frames.

    Args:
        path: Of the file.
        kind: Its format, as `clip_format` returns it.
        options: How it is read; the rate counts for a stack alone.

    Returns:
        The record, and a function that streams frames first <= n < last, (H, W, 3) RGB.

    Raises:
        UsageError: The stated depth is impossible.
        MagkitError: It is a still picture, of an unsupported format, or damaged.
    """
    if kind not in READABLE:
        raise unsupported_format(path, kind)
    if kind == "TIFF":
        return open_stack(path, options)
    with open_picture(path) as picture:  # refuses damaged and too large pictures
        size = picture.image.size
        pages = picture.pages if kind == "WebP" else 1
    if kind in {"PNG", "GIF"}:
        stored = open_gif(path) if kind == "GIF" else open_apng(path)
        if stored is not None and (kind == "GIF" or len(stored.pictures) > 1):
            return _open_parsed(stored, kind, options)
    if pages < 2:
        raise still_picture(path)
    require_8_bit(path, options.bits)
    return _record(size, _webp_durations(path, pages)), partial(_stream, path)


def _open_parsed(
    stored: ParsedAnimation, kind: str, options: ReadOptions
) -> tuple[VideoInfo, FrameRangeReader]:
    durations = [_shown(picture.delay, kind) for picture in stored.pictures]
    depth = _find_depth(stored, options.bits)
    wide = options.deep and depth.bits > 8

    def stream(first: int, last: int) -> Iterator[NDArray[Any]]:
        with decode_errors(stored.path):  # a value may exceed full scale
            for frame in stored.frames(first, last):
                yield depth.frame(frame, deep=wide)

    return replace(_record(stored.size, durations), bits=depth.bits), stream


def _find_depth(stored: ParsedAnimation, bits: int | None) -> Depth:
    if not stored.deep:
        return require_8_bit(stored.path, bits)

    def read(number: int) -> NDArray[Any]:
        alone = replace(stored, pictures=stored.pictures[number : number + 1])
        return next(alone.frames(0, 1))

    return find_depth(stored.path, [stored.declared] * len(stored.pictures), bits, read)


def _record(size: tuple[int, int], durations: Sequence[Fraction]) -> VideoInfo:
    """The record of frames of these durations in seconds; times only where they differ."""
    info = plain_info(*size, len(durations) / sum(durations, start=Fraction(0)), len(durations))
    if len(set(durations)) == 1:
        return info
    return replace(info, times=tuple(float(time) for time in accumulate(durations, initial=0)))


def _shown(delay: Fraction, kind: str) -> Fraction:
    """Seconds that a frame is shown whose file states `delay`."""
    return delay if delay > _SHORTEST.get(kind, 0) else _REPLACEMENT


def _webp_durations(path: Path, pages: int) -> list[Fraction]:
    """Seconds that each frame of a WebP is shown; decodes all of them."""
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
        decode_errors(path),
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
                yield composite_on_black(frame)
