"""TIFF files of many pages as clips, such as programs of cameras and microscopes write them."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magkit.errors import MagkitError
from magkit.video.deep import Depth, find_depth
from magkit.video.folder import DEFAULT_RATE
from magkit.video.info import VideoInfo, plain_info, snap_rate
from magkit.video.pictures import Header, PictureFile, open_picture

_DESCRIPTION, _OFFSETS, _COMPRESSION = 270, 273, 259  # TIFF 6.0: ImageDescription, StripOffsets
_STORED = {"L": "u1", "RGB": "u1", "I;16": "<u2", "I;16B": ">u2"}  # by Pillow's modes

# Seconds in the units that ImageJ and OME-XML use.
_SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), Fraction(1)),
    **dict.fromkeys(("ms", "msec"), Fraction(1, 1000)),
    **dict.fromkeys(("us", "µs", "usec"), Fraction(1, 1_000_000)),
    "min": Fraction(60),
}


@dataclass(frozen=True, slots=True)
class _Stack:
    """The pages of a file that are frames.

    Args:
        path: Of the file.
        pages: The index of each in the file.
        headers: Of each.
        description: What the first page's ImageDescription says.
        offset: Where the pixels of frames lie one after another that have no page of their own;
            None: each has one.
    """

    path: Path
    pages: tuple[int, ...]
    headers: tuple[Header, ...]
    description: str
    offset: int | None = None

    def values(self, places: Iterable[int]) -> Iterator[NDArray[Any]]:
        """The values of some frames, (H, W, 3) or greys (H, W), by their places in `pages`."""
        with open_picture(self.path) as picture:
            for place in places:
                header = self.headers[place]
                if self.offset is None:
                    yield picture.read(header, self.pages[place])
                else:
                    yield self._read_bare(header, place, self.offset)

    def _read_bare(self, header: Header, place: int, offset: int) -> NDArray[Any]:
        (width, height), kind = header.size, np.dtype(_STORED[header.mode])
        shape = (height, width, 3) if header.mode == "RGB" else (height, width)
        count = int(np.prod(shape))
        with self.path.open("rb") as file:
            file.seek(offset + place * count * kind.itemsize)
            pixels = np.fromfile(file, kind, count)
        values = pixels.reshape(shape).astype(kind.newbyteorder("="))
        return np.repeat(values[:, :, None], 3, axis=2) if header.mode == "L" else values


def open_stack(
    path: Path, *, bits: int | None = None, deep: bool = False, rate: Fraction | None = None
) -> tuple[VideoInfo, Callable[[int, int], Iterator[NDArray[Any]]]]:
    """The record of a stack, and a function that streams the frames first <= n < last.

    Args:
        path: A TIFF file.
        bits: How many of 16 bits are used, where the file doesn't tell.
        deep: Whether frames are (H, W, 3) uint16 with white at 65535, or uint8.
        rate: Frames a second; None: what the file says, or 24, which is warned of.

    Raises:
        UsageError: The stated depth can't be.
        MagkitError: It is a still picture, or damaged; its pages differ in size, or hold channels.
    """
    with open_picture(path) as picture:
        stack = _list_pages(path, picture)
    if len(stack.pages) == 1:
        raise MagkitError(
            f"{path} is a still picture", hint="give a video, or the folder with all the frames"
        )
    _check_pages(stack)
    depth = _find_depth(stack, bits)
    width, height = stack.headers[0].size
    info = plain_info(width, height, rate or _rate(stack), len(stack.pages))
    return replace(info, bits=depth.bits), partial(_stream, stack, depth, deep)


def _stream(
    stack: _Stack, depth: Depth, deep: bool, first: int, last: int
) -> Iterator[NDArray[Any]]:
    places = range(len(stack.pages))[first:last]
    for place, values in zip(places, stack.values(places), strict=True):
        try:
            yield depth.frame(values, deep=deep)
        except MagkitError as error:
            raise MagkitError(f"{stack.path}, page {place + 1}: {error}", error.hint) from error


def _find_depth(stack: _Stack, bits: int | None) -> Depth:
    deep = [place for place, header in enumerate(stack.headers) if header.is_deep]
    declared = [stack.headers[place].declared for place in deep]
    return find_depth(stack.path, declared, bits, lambda n: next(stack.values([deep[n]])))


def _list_pages(path: Path, picture: PictureFile) -> _Stack:
    headers = [picture.header(index) for index in range(picture.pages)]
    # Programs that show files add smaller versions of a page.
    full = [index for index, header in enumerate(headers) if not header.reduced] or [0]
    picture.header(0)
    tags: Any = picture.image.tag_v2  # type: ignore[attr-defined]
    description = str(tags.get(_DESCRIPTION, ""))
    pages = tuple(full)
    kept = tuple(headers[index] for index in full)
    count = _number(description, "images", 1)
    if len(pages) == 1 and count > 1 and description.startswith("ImageJ="):
        bare = tags.get(_COMPRESSION, 1) == 1 and kept[0].mode in _STORED
        if not bare or kept[0].white_is_zero:
            raise MagkitError(f"its {count} images are stored in a way that isn't read")
        return _Stack(path, tuple(range(count)), kept * count, description, tags[_OFFSETS][0])
    return _Stack(path, pages, kept, description)


def _check_pages(stack: _Stack) -> None:
    """Refuse pages that aren't the frames of one clip."""
    for place, (one, other) in enumerate(pairwise(stack.headers), 2):
        if one.size != other.size:
            sizes = "is {}x{}, the pages before it are {}x{}".format(*other.size, *one.size)
            raise MagkitError(
                f"{stack.path} is no clip: its page {place} {sizes}",
                hint="save the frames alone as a stack, or as a folder of pictures",
            )
    counts = {
        name: _number(stack.description, name, 1) for name in ("channels", "slices", "frames")
    }
    if counts["channels"] > 1 or min(counts["slices"], counts["frames"]) > 1:
        held = ", ".join(f"{count} {name}" for name, count in counts.items() if count > 1)
        raise MagkitError(
            f"{stack.path} is no clip of single pictures: it holds {held}",
            hint="save one channel of one slice as a stack",
        )
    if stack.offset is not None:
        _check_whole(stack, stack.offset)


def _check_whole(stack: _Stack, offset: int) -> None:
    (width, height), mode = stack.headers[0].size, stack.headers[0].mode
    size = width * height * np.dtype(_STORED[mode]).itemsize * (3 if mode == "RGB" else 1)
    there = (stack.path.stat().st_size - offset) // size
    if there < len(stack.pages):
        raise MagkitError(
            f"{stack.path} breaks off after {there} of {len(stack.pages)} frames",
            hint="copy the file once more",
        )


def _number(description: str, name: str, default: int) -> int:
    match = re.search(rf"^{name}=(\d{{1,9}})\s*$", description, re.MULTILINE)
    return int(match[1]) if match else default


def _rate(stack: _Stack) -> Fraction:
    """Frames a second: as ImageJ or OME-XML tell the interval of frames, else as ImageJ plays."""
    told = _interval(stack.description)
    if told is not None:
        return snap_rate(1 / told)
    match = re.search(r"^fps=(\d{1,9}(?:\.\d{1,9})?)\s*$", stack.description, re.MULTILINE)
    if match and stack.description.startswith("ImageJ=") and Fraction(match[1]) > 0:
        return snap_rate(Fraction(match[1]))
    logging.getLogger(__name__).warning(
        "%s tells no rate: it plays at %s frames a second; --fps states another",
        *(stack.path, DEFAULT_RATE),
    )
    return DEFAULT_RATE


def _interval(description: str) -> Fraction | None:
    """Seconds from frame to frame, if the description tells."""
    number = r"(\d{1,9}(?:\.\d{1,18})?(?:[eE]-?\d{1,2})?)"
    if description.startswith("ImageJ="):
        match = re.search(rf"^finterval={number}\s*$", description, re.MULTILINE)
        unit = re.search(r"^tunit=(\S+)\s*$", description, re.MULTILINE)
    else:
        match = re.search(rf'\bTimeIncrement="{number}"', description)
        unit = re.search(r'\bTimeIncrementUnit="([^"]*)"', description)
    seconds = _SECONDS.get(unit[1] if unit else "s")
    if match is None or seconds is None or not Fraction(match[1]):
        return None
    return Fraction(match[1]) * seconds
