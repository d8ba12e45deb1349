"""TIFF files of many pages as clips, such as programs of cameras and microscopes write them."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from magkit.errors import MagkitError
from magkit.video.depth import Depth, find_depth
from magkit.video.folder import DEFAULT_RATE
from magkit.video.info import VideoInfo, plain_info
from magkit.video.pictures import Header, PictureFile, open_picture
from magkit.video.tiff import BareStack, StackText, find_bare_stack, read_text

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
    headers: Sequence[Header]
    text: StackText
    bare: BareStack | None = None

    def values(self, places: Iterable[int]) -> Iterator[NDArray[Any]]:
        """The values of some frames, (H, W, 3) or greys (H, W), by their places in `pages`."""
        with open_picture(self.path) as picture:
            for place in places:
                if self.bare is not None:
                    yield self.bare.read(place)
                else:
                    yield picture.read(self.headers[place], self.pages[place])


def open_stack(
    path: Path, *, bits: int | None = None, deep: bool = False, rate: Fraction | None = None
) -> tuple[VideoInfo, Callable[[int, int], Iterator[NDArray[Any]]]]:
    """The record of a stack, and a function that streams the frames first <= n < last.

    Args:
        path: A TIFF file.
        bits: How many of 16 bits are used, where the file doesn't tell.
        deep: Whether frames (H, W, 3) of more than 8 bits are uint16 with white at 65535; else all
            are uint8.
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
    return replace(info, bits=depth.bits), partial(_stream, stack, depth, deep and depth.bits > 8)


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
    # What the first page says holds for all; few programs repeat it.
    declared = [stack.headers[place].declared or stack.headers[0].declared for place in deep]
    return find_depth(stack.path, declared, bits, lambda n: next(stack.values([deep[n]])))


def _list_pages(path: Path, picture: PictureFile) -> _Stack:
    first, text = picture.header(), read_text(picture.image)
    if bare := find_bare_stack(path, picture):
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


def _rate(stack: _Stack) -> Fraction:
    if (told := stack.text.rate) is not None:
        return told
    logging.getLogger(__name__).warning(
        "%s tells no rate: it plays at %s frames a second; --fps states another",
        *(stack.path, DEFAULT_RATE),
    )
    return DEFAULT_RATE
