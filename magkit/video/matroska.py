"""What is particular to Matroska and WebM: their ticks, and the size that a file promises."""

from __future__ import annotations

from pathlib import Path

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
