"""Animated images (GIF, PNG, WebP) through Pillow, which composes their frames exactly."""

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from magkit.errors import MagkitError
from magkit.video.info import VideoInfo, plain_info, snap_rate
from magkit.video.pictures import to_rgb

# Browsers show a frame that asks for 10 ms or less for 100.
_SHORTEST_MS = 10
_REPLACEMENT_MS = 100

_PICTURES = (b"GIF8", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*")
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def is_picture(path: Path) -> bool:
    """Whether a file is a picture by its first bytes, still or animated: not for ffmpeg."""
    with path.open("rb") as file:
        head = file.read(16)
    return head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def open_animation(
    path: Path,
) -> tuple[VideoInfo, Callable[[int, int], Iterator[NDArray[np.uint8]]]]:
    """The record of an animated image, and a function that streams the frames first <= n < last.

    Every frame is gone through once here, for only that tells how long each is shown; frames shown
    for different times play at their mean rate.

    Raises:
        MagkitError: It is a still picture, or damaged.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            kind = image.format
            times = [_milliseconds(one) for one in _frames(image)]
    except _DAMAGE as error:
        raise MagkitError(f"{path} can't be read: {error}") from error
    if len(times) == 1 and kind != "GIF":
        raise MagkitError(
            f"{path} is a still picture", hint="give a video, or the folder with all the frames"
        )
    if kind == "GIF" and not _ends_well(path):
        raise MagkitError(
            f"{path} breaks off after {len(times)} frames", hint="copy the file once more"
        )
    rate = snap_rate(Fraction(1000 * len(times)) / Fraction(sum(times)))
    return plain_info(width, height, rate, len(times)), partial(_stream, path)


def _frames(image: Image.Image) -> Iterator[Image.Image]:
    """Every frame of an open image, composed; each is the same object, moved on."""
    # A PNG may carry a picture for programs that know no animation: it is no frame.
    first = 1 if getattr(image, "default_image", False) else 0
    for index in range(first, getattr(image, "n_frames", 1)):
        image.seek(index)
        image.load()
        yield image


def _milliseconds(image: Image.Image) -> float:
    shown = float(image.info.get("duration") or 0)
    return shown if shown > _SHORTEST_MS else _REPLACEMENT_MS


def _ends_well(path: Path) -> bool:
    """Whether a GIF ends with its trailer; Pillow takes a cut one for a shorter one."""
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 512), os.SEEK_END)
        return file.read().rstrip(b"\0\r\n ").endswith(b";")


def _stream(path: Path, first: int, last: int) -> Iterator[NDArray[np.uint8]]:
    try:
        with Image.open(path) as image:
            for index, frame in enumerate(_frames(image)):
                if index >= last:
                    return
                if index >= first:
                    yield to_rgb(frame)
    except _DAMAGE as error:
        raise MagkitError(f"{path} can't be read: {error}") from error
