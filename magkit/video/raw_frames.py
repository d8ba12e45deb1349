"""Uncompressed frames of one size in a file, read one at a time."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from math import lcm, prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from magkit.errors import MagkitError
from magkit.video.depth import Depth, find_depth, require_8_bit
from magkit.video.info import DEFAULT_RATE, FrameRangeReader, VideoInfo, plain_info
from magkit.video.pictures import decode_errors


@dataclass(frozen=True, slots=True)
class Layout:
    """How the values of a frame are stored.

    Args:
        shape: (H, W), or (H, W, 3) of colours.
        bits: Of a stored value. 8 and 16 (little-endian) fill bytes; others are packed without
            gaps, the most significant bit first.
        row_bytes: From one row to the next; 0: rows have no padding.
        shift: Bits below the significant ones.
        bottom_up: Whether the lowest row comes first.
        bgr: Whether blue comes first.
    """

    shape: tuple[int, ...]
    bits: int
    row_bytes: int = 0
    shift: int = 0
    bottom_up: bool = False
    bgr: bool = False

    @property
    def size(self) -> int:
        """Bytes of a frame."""
        return self.shape[0] * self.row_bytes or -(-prod(self.shape) * self.bits // 8)

    def values(self, data: NDArray[np.uint8]) -> NDArray[np.unsignedinteger[Any]]:
        """The values of a frame in `shape`, uint8 or uint16, from its bytes."""
        if self.bits in {8, 16}:
            rows = data.reshape(self.shape[0], -1)[:, : prod(self.shape[1:]) * self.bits // 8]
            values = np.ascontiguousarray(rows).view(f"<u{self.bits // 8}").reshape(self.shape)
        else:
            values = unpack(data, self.bits)[: prod(self.shape)].reshape(self.shape)
        values = values[::-1] if self.bottom_up else values
        values = values[..., ::-1] if self.bgr else values
        native: NDArray[np.unsignedinteger[Any]]
        native = values.astype(values.dtype.newbyteorder("="), copy=False)
        return np.right_shift(native, self.shift, dtype=native.dtype) if self.shift else native


def unpack(data: NDArray[np.uint8], bits: int) -> NDArray[np.uint16]:
    """Unpack values of 9 to 15 bits that follow one another, the most significant bit first.

    Args:
        data: Bytes; what is missing of the last group of whole bytes counts as 0.
        bits: Of a value.
    """
    size, count = lcm(bits, 8) // 8, lcm(bits, 8) // bits  # 3 bytes hold 2 values of 12 bits
    groups = np.pad(data, (0, -data.size % size)).reshape(-1, size)
    values = np.zeros((len(groups), count), np.uint16)
    for place in range(count):
        end = (place + 1) * bits  # the bit after the value's last
        first, last = place * bits // 8, -(-end // 8)
        word = np.zeros(len(groups), np.uint32)  # a value lies in at most three bytes
        for column in range(first, last):
            word = np.left_shift(word, 8, dtype=np.uint32) | groups[:, column]
        values[:, place] = word >> (8 * last - end) & (1 << bits) - 1
    return values.reshape(-1)


@dataclass(frozen=True, slots=True)
class RawClip:
    """A file with frames of one layout.

    Args:
        path: Of the file.
        count: How many frames it has.
        layout: Of each.
        place: Finds where frame n begins, in bytes from the start of the open file.
    """

    path: Path
    count: int
    layout: Layout
    place: Callable[[BinaryIO, int], int]

    def values(self, first: int, last: int) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
        """Stream the values of frames first <= n < last.

        Raises:
            MagkitError: The file breaks off or can't be read.
        """
        with decode_errors(self.path), self.path.open("rb") as file:
            for number in range(first, last):
                file.seek(self.place(file, number))
                data = np.empty(self.layout.size, np.uint8)
                if file.readinto(data.data) < data.size:
                    raise MagkitError(f"it breaks off in frame {number + 1} of {self.count}")
                yield self.layout.values(data)

    def open(
        self, rate: Fraction, depth: Depth, *, deep: bool
    ) -> tuple[VideoInfo, FrameRangeReader]:
        """The record of the clip, and a function that streams frames first <= n < last."""
        height, width = self.layout.shape[:2]
        info = plain_info(width, height, rate, self.count)
        stream = partial(scaled, self.path, self.values, depth, deep and depth.bits > 8)
        return replace(info, bits=depth.bits, grey=len(self.layout.shape) == 2), stream


def scaled(
    path: Path,
    values: Callable[[int, int], Iterator[NDArray[Any]]],
    depth: Depth,
    deep: bool,
    first: int,
    last: int,
) -> Iterator[NDArray[Any]]:
    """Stream frames first <= n < last, (H, W, 3) RGB, from their values; errors name the frame."""
    for number, one in enumerate(values(first, last), first + 1):
        try:
            yield depth.frame(one, deep=deep)
        except MagkitError as error:
            raise MagkitError(f"{path}, frame {number}: {error}", error.hint) from error


def raw_depth(path: Path, stored: int, significant: int, stated: int | None) -> Depth:
    """The depth of a clip whose header tells it.

    Args:
        path: The clip, for errors.
        stored: Bits of a stored value.
        significant: How many of them are used, says the header.
        stated: What the user says of values of more than 8 bits.

    Raises:
        UsageError: The stated depth is impossible.
    """
    if stored == 8:
        return require_8_bit(path, stated)
    if stated is not None:
        return find_depth(path, [None], stated, lambda _: np.zeros(1, np.uint16))
    return Depth(significant, 2**significant - 1)


def rate_or_default(path: Path, stated: Fraction | None, told: Fraction | None) -> Fraction:
    """The rate that the user states, or else the file; a warning tells of a file that has none."""
    if (rate := stated or told) is not None:
        return rate
    logging.getLogger(__name__).warning(
        "%s tells no rate: it plays at %s frames a second; --fps states another",
        *(path, DEFAULT_RATE),
    )
    return DEFAULT_RATE
