"""TIFF stacks of one directory, and the descriptions that ImageJ and OME write."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile

from magkit.errors import MagkitError
from magkit.video.depth import Depth, find_depth
from magkit.video.formats import still_picture
from magkit.video.info import (
    FrameRangeReader,
    ReadOptions,
    VideoInfo,
    plain_info,
    snap_rate,
)
from magkit.video.pictures import ImageHeader, PictureFile, open_picture
from magkit.video.raw_frames import rate_or_default
from magkit.video.stack_writer import BITS_KEY

_DESCRIPTION = 270  # TIFF 6.0: ImageDescription

_NUMBER = r"(\d{1,9}(?:\.\d{1,18})?(?:[eE]-?\d{1,2})?)"
_SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), Fraction(1)),
    **dict.fromkeys(("ms", "msec"), Fraction(1, 1000)),
    **dict.fromkeys(("us", "µs", "usec"), Fraction(1, 1_000_000)),
    "min": Fraction(60),
}


@dataclass(frozen=True, slots=True)
class ImageDescription:
    """The description of a file's first page.

    Args:
        text: As it stands there; empty: there is none.
    """

    text: str

    @property
    def is_imagej(self) -> bool:
        """Whether ImageJ wrote it, or a program that writes as ImageJ does."""
        return self.text.startswith("ImageJ=")

    def count(self, name: str) -> int:
        """How many "images", "channels", "slices" or "frames" ImageJ says that there are."""
        match = re.search(rf"^{name}=(\d{{1,9}})\s*$", self.text, re.MULTILINE)
        return int(match[1]) if match and self.is_imagej else 1

    @property
    def rate(self) -> Fraction | None:
        """Frames a second: by the interval of frames, else as ImageJ plays them; None: untold."""
        if interval := self._interval():
            return snap_rate(1 / interval)
        match = re.search(rf"^fps={_NUMBER}\s*$", self.text, re.MULTILINE)
        told = Fraction(match[1]) if match and self.is_imagej else None
        return snap_rate(told) if told else None

    @property
    def bits(self) -> int | None:
        """Depth of the clip of which magkit wrote it, whose values fill 16 bits; None: untold."""
        match = re.search(rf"^{BITS_KEY}=(\d{{1,2}})\s*$", self.text, re.MULTILINE)
        return int(match[1]) if match and 8 < int(match[1]) <= 16 else None

    def _interval(self) -> Fraction | None:
        """Seconds from frame to frame, if they are told."""
        if self.is_imagej:
            match = re.search(rf"^finterval={_NUMBER}\s*$", self.text, re.MULTILINE)
            unit = re.search(r"^tunit=(\S+)\s*$", self.text, re.MULTILINE)
        else:
            match = re.search(rf'\bTimeIncrement="{_NUMBER}"', self.text)
            unit = re.search(r'\bTimeIncrementUnit="([^"]*)"', self.text)
        seconds = _SECONDS.get(unit[1] if unit else "s")
        return Fraction(match[1]) * seconds if match and seconds else None


def image_description(image: ImageFile) -> ImageDescription:
    """The description of the page that an image is at; an empty one of other files than TIFF."""
    return ImageDescription(str(getattr(image, "tag_v2", {}).get(_DESCRIPTION, "")))


# TIFF 6.0: BitsPerSample, Compression, PhotometricInterpretation, StripOffsets, SamplesPerPixel.
_BITS, _COMPRESSION, _PHOTOMETRIC, _OFFSETS, _SAMPLES = 258, 259, 262, 273, 277

_TYPES = {"L": ("u1", 1), "RGB": ("u1", 3), "I;16": ("<u2", 1), "I;16B": (">u2", 1)}
"""By Pillow's mode: how a value is stored, and how many a pixel has."""


@dataclass(frozen=True, slots=True)
class ContiguousStack:
    """Images that lie one after another.

    Args:
        path: Of the file.
        offset: Where the first begins, in bytes.
        shape: Of each as an array.
        kind: Of a value.
        told: How many the file says that it holds.
        held: How many of them are there.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    kind: str
    told: int
    held: int

    def read(self, place: int) -> NDArray[Any]:
        """The values of an image, (H, W, 3), or greys (H, W) of 16 bits."""
        kind, count = np.dtype(self.kind), int(np.prod(self.shape))
        with self.path.open("rb") as file:
            file.seek(self.offset + place * count * kind.itemsize)
            values = np.fromfile(file, kind, count).reshape(self.shape)
        if kind.itemsize == 1 and len(self.shape) == 2:
            return np.repeat(values[:, :, None], 3, axis=2)
        return values.astype(kind.newbyteorder("="))


def find_contiguous_stack(path: Path, picture: PictureFile) -> ContiguousStack | None:
    """The images that follow the only page of a file; None: there are none."""
    told = image_description(picture.image).count("images")
    if picture.pages > 1 or told == 1 or picture.image.mode not in _TYPES:
        return None
    tags: Any = picture.image.tag_v2  # type: ignore[attr-defined]
    kind, samples = _TYPES[picture.image.mode]
    size = np.dtype(kind).itemsize
    plain = (tags.get(_COMPRESSION), tags.get(_SAMPLES, 1), tags.get(_BITS)) == (
        *(1, samples),
        (8 * size,) * samples,
    )
    if not plain or tags.get(_PHOTOMETRIC) == 0 or _OFFSETS not in tags:
        return None
    height, width = picture.image.height, picture.image.width
    shape = (height, width, 3) if samples == 3 else (height, width)
    offset = int(tags[_OFFSETS][0])
    held = (path.stat().st_size - offset) // (int(np.prod(shape)) * size)
    return ContiguousStack(path, offset, shape, kind, told, min(held, told)) if held > 1 else None


_MOST_CHANNELS = 7  # that ImageJ shows in one picture


@dataclass(frozen=True, slots=True)
class _Stack:
    """The images of a file that are frames.

    Args:
        path: Of the file.
        pages: The index of each in the file.
        headers: Of each.
        text: What the first page's description says.
        bare: The frames, where they have no pages of their own.
    """

    path: Path
    pages: Sequence[int]
    headers: Sequence[ImageHeader]
    text: ImageDescription
    bare: ContiguousStack | None = None

    def values(self, places: Iterable[int]) -> Iterator[NDArray[Any]]:
        """The values of some frames, (H, W, 3) or greys (H, W), by their places in `pages`."""
        with open_picture(self.path) as picture:
            for place in places:
                if self.bare is not None:
                    yield self.bare.read(place)
                else:
                    yield picture.read(self.headers[place], self.pages[place])


def open_stack(
    path: Path,
    options: ReadOptions = ReadOptions(),  # noqa: B008 - it is frozen
) -> tuple[VideoInfo, FrameRangeReader]:
    """Open a TIFF of several pages; a warning tells of a rate that neither file nor options state.

    Returns:
        The record, and a function that streams frames first <= n < last, (H, W, 3) RGB.

    Raises:
        UsageError: The stated depth is impossible.
        MagkitError: It is a still picture or damaged; its pages differ in size, or are channels.
    """
    with open_picture(path) as picture:
        stack = _list_pages(path, picture)
    if len(stack.pages) == 1:
        raise still_picture(path)
    _check_pages(stack)
    depth = _find_depth(stack, options.bits)
    width, height = stack.headers[0].size
    info = plain_info(
        width, height, rate_or_default(path, options.rate, stack.text.rate), len(stack.pages)
    )
    stream = partial(_stream, stack, depth, options.deep and depth.bits > 8)
    grey = all(header.is_grey for header in stack.headers)
    return replace(info, bits=depth.bits, grey=grey), stream


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
    if deep and bits is None and stack.text.bits is not None:
        return Depth(stack.text.bits)
    # What the first page says holds for all; few programs repeat it.
    declared = [stack.headers[place].declared or stack.headers[0].declared for place in deep]
    return find_depth(stack.path, declared, bits, lambda n: next(stack.values([deep[n]])))


def _list_pages(path: Path, picture: PictureFile) -> _Stack:
    first, text = picture.header(), image_description(picture.image)
    if bare := find_contiguous_stack(path, picture):
        if bare.held < bare.told:
            raise MagkitError(f"it breaks off after {bare.held} of {bare.told} frames")
        return _Stack(path, range(bare.told), (first,) * bare.told, text, bare)
    headers = [picture.header(index) for index in range(picture.pages)]
    # Programs that show files add smaller versions of a page.
    full = [index for index, header in enumerate(headers) if not header.reduced] or [0]
    return _Stack(path, full, [headers[index] for index in full], text)


def _check_pages(stack: _Stack) -> None:
    """Refuse pages that aren't the frames of one clip."""
    for place, (one, other) in enumerate(pairwise(stack.headers), 2):
        if one.size != other.size:
            sizes = "is {}x{}, the pages before it are {}x{}".format(*other.size, *one.size)
            raise MagkitError(
                f"{stack.path} is no clip: its page {place} {sizes}",
                hint="save the frames alone as a stack, or as a folder of pictures",
            )
    counts = {name: stack.text.count(name) for name in ("channels", "slices", "frames")}
    several = {name: count for name, count in counts.items() if count > 1}
    # A lone axis is time, whatever a program calls it, unless ImageJ would show it as colours.
    if len(several) > 1 or counts["channels"] in range(2, _MOST_CHANNELS + 1):
        held = ", ".join(f"{count} {name}" for name, count in several.items())
        raise MagkitError(
            f"{stack.path} is no clip of single pictures: it holds {held}",
            hint="save one channel of one slice as a stack",
        )
