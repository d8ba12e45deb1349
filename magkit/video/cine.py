"""Recordings of Vision Research's Phantom cameras (.cine), uncompressed.

The layout is that of Vision Research, "The Cine File Format", and of ffmpeg's demuxer: a header
with the offsets of a bitmap header, a camera setup and a table of 64-bit offsets of the frames,
each of which begins with a block of annotations and the size of its pixels. All is little-endian.
"""

import math
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

from magkit.errors import MagkitError
from magkit.video.info import FrameRangeReader, ReadOptions, VideoInfo
from magkit.video.pictures import decode_errors
from magkit.video.raw_frames import Layout, RawClip, rate_or_default, raw_depth

_FILE_HEADER = struct.Struct("<2s3HiIiI3I")
_BITMAP_HEADER = struct.Struct("<Iii2H2I")
_OFFSET, _WORD = struct.Struct("<q"), struct.Struct("<I")

_JPEG, _UNINTERPOLATED = 1, 2  # Compression of the file header
_PLAIN, _PACKED = 0, {256: 10, 1024: 12}  # biCompression

# Bytes from the start of the setup.
_MARK, _FRAME_RATE, _CFA, _REAL_BPP, _PRECISE_RATE = 140, 768, 808, 896, 10400

_FASTEST = 10**9  # frames a second


def open_cine(
    path: Path,
    options: ReadOptions = ReadOptions(),  # noqa: B008 - it is frozen
) -> tuple[VideoInfo, FrameRangeReader]:
    """Open a recording; its rate is that of the camera. Packed values stay as they are stored.

    Returns:
        The record, and a function that streams frames first <= n < last, (H, W, 3) RGB.

    Raises:
        UsageError: The stated depth is impossible.
        MagkitError: It is damaged or truncated, compressed, or has a Bayer pattern.
    """
    with decode_errors(path), path.open("rb") as file:
        size = path.stat().st_size
        head = _read_head(file)
        layout = _check_frames(file, head, size)
    clip = RawClip(path, head.count, layout, _finder(head, layout))
    depth = raw_depth(path, layout.bits, min(head.significant, layout.bits), options.bits)
    rate = rate_or_default(path, options.rate, head.rate)
    return clip.open(rate, depth, deep=options.deep)


@dataclass(frozen=True, slots=True)
class _Head:
    """What the headers tell: number of frames, offset of their table, pixels, bits in use, rate."""

    count: int
    table: int
    width: int
    height: int
    bit_count: int
    packing: int
    significant: int
    rate: Fraction | None


def _read_head(file: BinaryIO) -> _Head:
    mark, _, compression, version, *_, count, at_bitmap, at_setup, table = _unpack(
        file, 0, _FILE_HEADER
    )
    if mark != b"CI" or version != 1:
        raise MagkitError(f"it is a cine file of version {version}; version 1 is read")
    if compression == _JPEG or compression > _UNINTERPOLATED:
        raise MagkitError(
            "its frames are compressed", hint="save it as an uncompressed cine or as 16-bit TIFF"
        )
    _, width, height, _, bit_count, packing, _ = _unpack(file, at_bitmap, _BITMAP_HEADER)
    cfa, real_bpp, rate = _read_setup(file, at_setup)
    if compression == _UNINTERPOLATED and cfa & 0xFF:
        raise MagkitError(
            "it holds the raw Bayer pattern of a colour sensor, not colours",
            hint="save it with interpolated colours, or as 16-bit TIFF, in Phantom's program",
        )
    if not count or width <= 0 or not height:
        raise MagkitError(f"it tells of {count} frames of {width}x{abs(height)}")
    return _Head(count, table, width, height, bit_count, packing, real_bpp, rate)


def _read_setup(file: BinaryIO, start: int) -> tuple[int, int, Fraction | None]:
    """The colour filter array, significant bits and rate of the camera's setup."""
    mark, length = _unpack(file, start + _MARK, struct.Struct("<2sH"))
    if mark != b"ST" or length < _REAL_BPP + _WORD.size:
        raise MagkitError("it has no setup of a camera")
    cfa, bits, whole = (
        _unpack(file, start + field, _WORD)[0] for field in (_CFA, _REAL_BPP, _FRAME_RATE)
    )
    if not 8 <= bits <= 16:
        raise MagkitError(f"it says that {bits} bits are in use, not 8 to 16")
    rate = Fraction(whole)
    double = struct.Struct("<d")
    if length >= _PRECISE_RATE + double.size:
        precise = _unpack(file, start + _PRECISE_RATE, double)[0]
        if math.isfinite(precise) and 0 < precise < _FASTEST:
            rate = Fraction(precise).limit_denominator(1_000_000)
    return cfa, bits, rate or None


def _unpack(
    file: BinaryIO, start: int, form: struct.Struct, part: str = "its headers"
) -> tuple[Any, ...]:
    file.seek(start)
    data = file.read(form.size)
    if len(data) < form.size:
        raise MagkitError(f"it breaks off in {part}", hint="copy it once more")
    return form.unpack(data)


def _check_frames(file: BinaryIO, head: _Head, size: int) -> Layout:
    """The layout of the frames; both ends of the clip must be in the file."""
    if head.table + head.count * _OFFSET.size > size:
        raise MagkitError(f"it has no room for the offsets of {head.count} frames")
    first, stored = _find_pixels(file, head, 0)
    layout = _layout(head, stored)
    last, _ = _find_pixels(file, head, head.count - 1)
    for number, start in ((1, first), (head.count, last)):
        if start + layout.size > size:
            raise MagkitError(
                f"it breaks off in frame {number} of {head.count}", hint="copy it once more"
            )
    return layout


def _layout(head: _Head, stored: int) -> Layout:
    """How frames of `stored` bytes hold their pixels; rows may be padded to four bytes."""
    height, channels = abs(head.height), 3 if head.bit_count in {24, 48} else 1
    shape = (height, head.width, 3) if channels == 3 else (height, head.width)
    if head.packing in _PACKED and channels == 1:
        candidates = [Layout(shape, _PACKED[head.packing])]  # these begin with the upper row
    elif head.packing == _PLAIN and head.bit_count // channels in {8, 16}:
        bits = head.bit_count // channels
        row = head.width * channels * bits // 8
        plain = (shape, bits)
        up, bgr = head.height > 0, channels == 3
        candidates = [
            Layout(*plain, row_bytes=row_bytes, bottom_up=up, bgr=bgr)
            for row_bytes in (row, -(-row // 4) * 4)
        ]
    else:
        raise MagkitError(
            f"its frames have {head.bit_count} bits a pixel in the packing {head.packing}",
            hint="8 and 16 bits are read, packed 10 and 12 bits, and 24 and 48 bits of colours",
        )
    for layout in candidates:
        if layout.size == stored:
            return layout
    raise MagkitError(
        f"its frames have {stored} bytes, {head.width}x{height} pixels need {candidates[0].size}"
    )


def _find_pixels(file: BinaryIO, head: _Head, number: int) -> tuple[int, int]:
    """Where the pixels of a frame begin, and how many bytes they have."""
    part = f"frame {number + 1} of {head.count}"
    (start,) = _unpack(file, head.table + number * _OFFSET.size, _OFFSET, part)
    if not 0 <= start < os.fstat(file.fileno()).st_size:
        raise MagkitError(f"{part} lies outside the file", hint="copy it once more")
    (annotation,) = _unpack(file, start, _WORD, part)
    if annotation < 2 * _WORD.size:
        raise MagkitError(f"the annotation of {part} has {annotation} bytes")
    (stored,) = _unpack(file, start + annotation - _WORD.size, _WORD, part)
    return start + annotation, stored


def _finder(head: _Head, layout: Layout) -> Callable[[BinaryIO, int], int]:
    def place(file: BinaryIO, number: int) -> int:
        start, stored = _find_pixels(file, head, number)
        if stored != layout.size:
            raise MagkitError(f"frame {number + 1} has {stored} bytes, the first {layout.size}")
        return start

    return place
