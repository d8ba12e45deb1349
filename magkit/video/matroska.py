"""Matroska headers: the declared size of a file, and frames with times as a stream."""

from __future__ import annotations

import struct
from pathlib import Path

from magkit.video.hdr import StaticHdr

HEADER, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
LONGEST_HEADER = 4096  # bytes

TICK = 0.001
"""Seconds a tick: nearly all files have this, and ffmpeg writes no other."""


def declared_size(path: Path) -> int | None:
    """Return the size in bytes that a file's header promises; None if it promises none.

    A file that breaks off between two frames looks whole to a decoder; here it doesn't.
    Source: RFC 8794, section 5 (element identifiers and sizes), and RFC 9559, section 5.1.
    """
    with path.open("rb") as file:
        start = file.read(LONGEST_HEADER)
    if not start.startswith(HEADER):
        return None
    at, size = _size(start, len(HEADER))
    at += size or 0
    if start[at : at + len(SEGMENT)] != SEGMENT:
        return None
    at, size = _size(start, at + len(SEGMENT))
    return None if size is None else at + size


def _size(data: bytes, at: int) -> tuple[int, int | None]:
    """Read the size of an element: where its content begins, and how long it is, if known."""
    length = 9 - int.from_bytes(data[at : at + 1]).bit_length()  # leading zeros say how long
    ones = (1 << 7 * length) - 1
    value = int.from_bytes(data[at : at + length]) & ones
    return at + length, None if value == ones else value


NANOSECONDS = 1_000_000_000  # ticks a second of the stream

_UNKNOWN_SIZE = b"\x01\xff\xff\xff\xff\xff\xff\xff"

# The FourCC by which ffmpeg knows each layout of raw pixels (libavcodec/raw.c).
_FOURCC = {
    "rgb24": b"RGB\x18",
    "rgb48le": b"RGB0",
    "yuv444p": b"444P",
}


def stream_header(width: int, height: int, pixels: str, hdr: StaticHdr | None = None) -> bytes:
    """What precedes the frames.

    Args:
        width: Of a frame, in pixels.
        height: Likewise.
        pixels: ffmpeg's name of their layout: rgb24, rgb48le or yuv444p.
        hdr: What ffmpeg hands on to the encoder and the container.
    """
    kind = _number("4286", 1) + _number("42F7", 1) + _number("42F2", 4) + _number("42F3", 8)
    kind += _element("4282", b"matroska") + _number("4287", 4) + _number("4285", 2)
    info = _number("2AD7B1", 1)  # nanoseconds a tick
    info += _element("4D80", b"magkit") + _element("5741", b"magkit")
    video = _number("B0", width) + _number("BA", height) + _element("2EB524", _FOURCC[pixels])
    video += _colour(hdr) if hdr else b""
    track = _number("D7", 1) + _number("73C5", 1) + _number("83", 1)
    track += _element("86", b"V_UNCOMPRESSED") + _element("E0", video)
    segment = bytes.fromhex("18538067") + _UNKNOWN_SIZE
    tracks = _element("1654AE6B", _element("AE", track))
    return _element("1A45DFA3", kind) + segment + _element("1549A966", info) + tracks


def _colour(hdr: StaticHdr) -> bytes:
    """The element Colour (RFC 9559, 5.1.4.1.28.16)."""
    levels = zip(("55BC", "55BD"), hdr.light_levels or (), strict=False)
    display = b""
    for number, value in enumerate(value for point in hdr.primaries or () for value in point):
        display += _real(f"{0x55D1 + number:X}", value)
    for identifier, value in zip(("55DA", "55D9"), hdr.luminance or (), strict=False):
        display += _real(identifier, value)
    content = b"".join(_number(identifier, level) for identifier, level in levels)
    return _element("55B0", content + (_element("55D0", display) if display else b""))


def frame_header(start: float, end: float, size: int) -> bytes:
    """What precedes a frame of `size` bytes that is shown from `start` to `end` seconds."""
    first, last = round(start * NANOSECONDS), round(end * NANOSECONDS)
    stamp, duration = _number("E7", first), _number("9B", last - first)
    # Track 1, no ticks after the cluster's, no flags.
    block = b"\x81\0\0\0"
    block = _head("A1", len(block) + size) + block
    group = _head("A0", len(duration) + len(block) + size) + duration + block
    return _head("1F43B675", len(stamp) + len(group) + size) + stamp + group


def _head(identifier: str, size: int) -> bytes:
    """An element's identifier and the size of its content, in eight bytes."""
    return bytes.fromhex(identifier) + (size | 1 << 56).to_bytes(8, "big")


def _element(identifier: str, content: bytes) -> bytes:
    return _head(identifier, len(content)) + content


def _number(identifier: str, value: int) -> bytes:
    return _element(identifier, value.to_bytes(8, "big"))


def _real(identifier: str, value: float) -> bytes:
    return _element(identifier, struct.pack(">d", value))
