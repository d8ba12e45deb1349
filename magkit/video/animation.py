"""Animated pictures (GIF, PNG, WebP) through imageio.v3, whose Pillow plugin composes frames."""

import os
from collections.abc import Callable, Iterator
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
from magkit.video.depth import eight_bits, scale
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

_LARGEST_DENOMINATOR = 65535  # of the delay in a PNG (PNG, third edition, 11.3.6.2)


def open_animation(
    path: Path,
    *,
    bits: int | None = None,
    deep: bool = False,
    rate: Fraction | None = None,
) -> tuple[VideoInfo, Callable[[int, int], Iterator[NDArray[Any]]]]:
    """The record of a moving picture, and a function that streams the frames first <= n < last.

    Every frame of an animation is gone through once here, for only that tells how long each is
    shown. Frames shown for different times get their times, and the mean rate; others one exact
    rate. A TIFF of many pages is a stack (see `open_stack`).

    Args:
        path: Of the file.
        bits: How many of 16 bits are used in a stack, where it doesn't tell.
        deep: Whether frames (H, W, 3) of a stack of more than 8 bits are uint16 with white at
            65535; else all are uint8.
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
    with open_picture(path) as picture:
        pages, (width, height) = picture.pages, picture.image.size
        # A PNG may carry a picture for programs that know no animation: it is no frame.
        skipped = 1 if getattr(picture.image, "default_image", False) else 0
    if kind != "GIF" and (kind not in {"PNG", "WebP"} or pages - skipped < 2):
        raise MagkitError(
            f"{path} is a still picture", hint="give a video, or the folder with all the frames"
        )
    eight_bits(path, bits)
    delays = _delays(path, kind or "", pages)[skipped:]
    mean = len(delays) / sum(delays, start=Fraction(0))
    info = plain_info(width, height, rate or mean, len(delays))
    if rate is None and len(set(delays)) > 1:
        info = replace(info, times=tuple(float(time) for time in accumulate(delays, initial=0)))
    return info, partial(_stream, path, skipped)


def _delays(path: Path, kind: str, pages: int) -> list[Fraction]:
    """How many seconds each frame is shown."""
    with _open_frames(path) as file:
        delays = [_delay(file.metadata(index=n), kind) for n, _ in enumerate(file.iter())]
    # A cut GIF is a shorter one to Pillow, which ends quietly before what it can't read.
    if len(delays) < pages or (kind == "GIF" and not _ends_well(path)):
        raise MagkitError(
            f"{path} breaks off after {len(delays)} frames", hint="copy the file once more"
        )
    return delays


def _delay(told: dict[str, Any], kind: str) -> Fraction:
    # Milliseconds, of which PNG's may be a fraction that floating point has rounded.
    seconds = Fraction(float(told.get("duration") or 0)) / 1000
    exact = seconds.limit_denominator(_LARGEST_DENOMINATOR)
    return exact if exact > _SHORTEST.get(kind, 0) else _REPLACEMENT


def _ends_well(path: Path) -> bool:
    """Whether a GIF ends with its trailer."""
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 512), os.SEEK_END)
        return file.read().rstrip(b"\0\r\n ").endswith(b";")


@contextmanager
def _open_frames(path: Path) -> Iterator[Any]:
    with (
        decoding(path),
        path.open("rb") as opened,
        iio.imopen(opened, "r", plugin="pillow") as file,
    ):
        yield file


def _stream(path: Path, skipped: int, first: int, last: int) -> Iterator[NDArray[Any]]:
    with _open_frames(path) as file:
        for index, frame in enumerate(file.iter(mode="RGBA"), -skipped):
            if index >= last:
                return
            if index >= first:
                yield scale(on_black(frame), 65535, deep=False)
