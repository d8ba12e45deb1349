"""The pictures that an animated PNG stores (PNG, third edition, 11.3.6)."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from magkit.errors import MagkitError
from magkit.video.compose import Disposal, StoredAnimation, StoredPicture
from magkit.video.depth_tags import png_depth
from magkit.video.pictures import decoding

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SHARED = {b"PLTE", b"tRNS", b"sBIT"}  # what the pixels of all pictures are read by

_DISPOSALS = (Disposal.KEEP, Disposal.CLEAR, Disposal.RESTORE)
_HINT = "copy the file once more"


@dataclass(slots=True)
class _Control:
    """The content of an fcTL chunk, and where the data of its picture are."""

    width: int
    height: int
    left: int
    top: int
    delay: Fraction
    disposal: Disposal
    blended: bool
    data: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class _Reader:
    """What is known of a file, chunk by chunk.

    Args:
        header: The content of IHDR.
        shared: Chunks that all pictures need.
        promised: Frames, as acTL says; 0: it is a still picture.
        controls: Of each frame so far.
        sequence: The number that the next chunk of the animation has.
        started: Whether the data of the first picture have begun.
        ended: Whether the file ends as it should.
    """

    header: bytes = b""
    shared: bytes = b""
    promised: int = 0
    controls: list[_Control] = field(default_factory=list)
    sequence: int = 0
    started: bool = False
    ended: bool = False

    def take(self, kind: bytes, offset: int, content: bytes) -> None:
        if kind == b"IHDR":
            self.header = content
        elif kind in _SHARED and not self.started:
            self.shared += _chunk(kind, content)
        elif kind == b"acTL" and not self.started:
            self.promised = int.from_bytes(content[:4])
        elif kind == b"fcTL":
            self._count(content)
            self.controls.append(_control(content, self.header))
        elif kind == b"IDAT":
            self.started = True
            # Without a control it is a picture for programs that know no animation.
            if self.controls:
                self.controls[-1].data.append((offset, len(content)))
        elif kind == b"fdAT":
            self._count(content)
            if not self.controls:
                raise MagkitError("it holds data of no frame", _HINT)
            self.controls[-1].data.append((offset + 4, len(content) - 4))
        self.ended = kind == b"IEND"

    def _count(self, content: bytes) -> None:
        if int.from_bytes(content[:4]) != self.sequence:
            raise MagkitError(f"its animation breaks off before chunk {self.sequence}", _HINT)
        self.sequence += 1


def open_apng(path: Path) -> StoredAnimation | None:
    """The pictures of an animated PNG; None where the file holds a still one.

    All chunks are read once, and their checksums compared. The picture for programs that know no
    animation is left out.

    Raises:
        MagkitError: The file is cut or damaged.
    """
    reader = _Reader()
    with decoding(path), path.open("rb") as file:
        for kind, offset, content in _chunks(file):
            reader.take(kind, offset, content)
        if not reader.promised:
            return None
        whole = [one for one in reader.controls if one.data][: reader.promised]
        if not reader.ended or len(whole) < reader.promised:
            # Data of the last frame may be missing.
            shown = max(len(whole) - (not reader.ended), 0)
            raise MagkitError(f"it breaks off after {shown} of {reader.promised} frames", _HINT)
        pictures = [_picture(one, reader) for one in whole]
        size = struct.unpack(">2I", reader.header[:8])
        declared = png_depth(io.BytesIO(pictures[0].head))
        return StoredAnimation(path, size, pictures, _wrap, reader.header[8] == 16, declared)


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, bytes]]:
    """The kind of each whole chunk, the offset of its content, and that content."""
    size = file.seek(0, io.SEEK_END)
    offset = file.seek(len(_SIGNATURE)) + 8
    while offset <= size:
        length, kind = struct.unpack(">I4s", file.read(8))
        if offset + length + 4 > size:
            return
        content = file.read(length)
        if int.from_bytes(file.read(4)) != zlib.crc32(kind + content):
            raise MagkitError(f"its chunk at byte {offset - 8} is damaged", _HINT)
        yield kind, offset, content
        if kind == b"IEND":
            return
        offset += length + 12


def _control(content: bytes, header: bytes) -> _Control:
    canvas = struct.unpack(">2I", header[:8])
    _, width, height, left, top, *delay, disposal, blending = struct.unpack(">5I2H2B", content)
    inside = left + width <= canvas[0] and top + height <= canvas[1]
    if not (width and height and inside and disposal < len(_DISPOSALS) and blending < 2):
        raise MagkitError("its frames are not described as the standard says", _HINT)
    # A denominator of 0 stands for hundredths of a second.
    seconds = Fraction(delay[0], delay[1] or 100)
    return _Control(width, height, left, top, seconds, _DISPOSALS[disposal], blending == 1)


def _picture(control: _Control, reader: _Reader) -> StoredPicture:
    size = struct.pack(">2I", control.width, control.height)
    head = _SIGNATURE + _chunk(b"IHDR", size + reader.header[8:]) + reader.shared
    return StoredPicture(
        control.left,
        control.top,
        control.width,
        control.height,
        control.delay,
        control.disposal,
        control.blended,
        head,
        tuple(control.data),
    )


def _wrap(data: bytes) -> bytes:
    return _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", checksum)
