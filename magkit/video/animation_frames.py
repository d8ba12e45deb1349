"""Frames of animated PNG and GIF, composed as their specifications say."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from magkit.errors import MagkitError
from magkit.video.depth import DeclaredDepth, png_depth
from magkit.video.pictures import decode_errors, decode_rgba


class Disposal(Enum):
    """Disposal of a picture's area after its frame was shown."""

    KEEP = "keep"
    CLEAR = "clear"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class AnimationFrame:
    """The picture that is drawn for a frame on the canvas.

    Args:
        left: Pixels from the left edge of the canvas, to which it is clipped.
        top: Pixels from its top.
        width: Pixels.
        height: Pixels.
        delay: Stated duration of the frame in seconds.
        disposal: Of its area.
        blended: Composite the picture on the canvas instead of replacing the area.
        head: The beginning of a still picture's file with these data.
        data: Offset and length of each piece of the compressed data.
    """

    left: int
    top: int
    width: int
    height: int
    delay: Fraction
    disposal: Disposal
    blended: bool
    head: bytes = b""
    data: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ParsedAnimation:
    """An animated picture that is decoded picture by picture.

    Args:
        path: Of the file.
        size: Width and height of the canvas.
        pictures: One a frame.
        wrap: Makes the rest of a still picture's file of compressed data.
        deep: Whether values have 16 bits.
        declared: The depth that the file states for its 16 bits; None: nothing.
    """

    path: Path
    size: tuple[int, int]
    pictures: Sequence[AnimationFrame]
    wrap: Callable[[bytes], bytes]
    deep: bool = False
    declared: DeclaredDepth | None = None

    def frames(self, first: int, last: int) -> Iterator[NDArray[Any]]:
        """The frames first <= n < last over black, (H, W, 3) RGB, uint8 or uint16.

        Raises:
            MagkitError: A picture can't be decoded.
        """
        # To blend over black and to blend over a transparent canvas that is then shown over black
        # give the same colours, so that the canvas needs no alpha. Nothing is rounded on it.
        canvas = np.zeros((self.size[1], self.size[0], 3), np.float32)
        with decode_errors(self.path), self.path.open("rb") as file:
            for number, picture in enumerate(self.pictures[:last]):
                area = canvas[picture.top :, picture.left :][: picture.height, : picture.width]
                before = area.copy() if picture.disposal is Disposal.RESTORE else 0
                pixels = decode_rgba(picture.head + self.wrap(_read(file, picture)))
                _draw(area, pixels, blended=picture.blended)
                if number >= first:
                    yield np.rint(canvas).astype(pixels.dtype)
                if picture.disposal is not Disposal.KEEP:
                    area[:] = before


def _read(file: BinaryIO, picture: AnimationFrame) -> bytes:
    pieces = []
    for offset, length in picture.data:
        file.seek(offset)
        pieces.append(file.read(length))
    return b"".join(pieces)


def _draw(area: NDArray[np.float32], pixels: NDArray[Any], *, blended: bool) -> None:
    """Draw RGBA `pixels` (H, W, 4) on an area of the canvas (PNG, Alpha Channel Processing)."""
    pixels = pixels[: area.shape[0], : area.shape[1]]
    alpha = pixels[..., 3:] / np.float32(np.iinfo(pixels.dtype).max)
    area *= 1 - alpha if blended else 0
    area += pixels[..., :3] * alpha


_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SHARED = {b"PLTE", b"tRNS", b"sBIT"}  # what the pixels of all pictures are read by

_PNG_DISPOSALS = (Disposal.KEEP, Disposal.CLEAR, Disposal.RESTORE)
_HINT = "copy the file once more"


@dataclass(slots=True)
class _Reader:
    """State of parsing an animated PNG chunk by chunk.

    Args:
        header: The content of IHDR.
        shared: Chunks that all pictures need.
        promised: Frames, as acTL says; 0: it is a still picture.
        controls: Of each frame so far, and where its data are.
        sequence: The number that the next chunk of the animation has.
        started: Whether the data of the first picture have begun.
        ended: Whether the file ends as it should.
    """

    header: bytes = b""
    shared: bytes = b""
    promised: int = 0
    controls: list[tuple[AnimationFrame, list[tuple[int, int]]]] = field(default_factory=list)
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
            self.controls.append((_png_control(content, self.header), []))
        elif kind == b"IDAT":
            self.started = True
            # Without a control it is a picture for programs that know no animation.
            if self.controls:
                self.controls[-1][1].append((offset, len(content)))
        elif kind == b"fdAT":
            self._count(content)
            if not self.controls:
                raise MagkitError("it holds data of no frame", _HINT)
            self.controls[-1][1].append((offset + 4, len(content) - 4))
        self.ended = kind == b"IEND"

    def _count(self, content: bytes) -> None:
        if int.from_bytes(content[:4]) != self.sequence:
            raise MagkitError(f"its animation breaks off before chunk {self.sequence}", _HINT)
        self.sequence += 1


def open_apng(path: Path) -> ParsedAnimation | None:
    """The pictures of an animated PNG; None where the file holds a still one.

    All chunks are read once, and their checksums compared. The picture for programs that know no
    animation is left out.

    Raises:
        MagkitError: The file is cut or damaged.
    """
    reader = _Reader()
    with decode_errors(path), path.open("rb") as file:
        for kind, offset, content in _chunks(file):
            reader.take(kind, offset, content)
        if not reader.promised:
            return None
        whole = [one for one in reader.controls if one[1]][: reader.promised]
        if not reader.ended or len(whole) < reader.promised:
            # Data of the last frame may be missing.
            shown = max(len(whole) - (not reader.ended), 0)
            raise MagkitError(f"it breaks off after {shown} of {reader.promised} frames", _HINT)
        pictures = [_png_picture(control, data, reader) for control, data in whole]
        size = struct.unpack(">2I", reader.header[:8])
        declared = png_depth(io.BytesIO(pictures[0].head))
        return ParsedAnimation(path, size, pictures, _wrap, reader.header[8] == 16, declared)


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


def _png_control(content: bytes, header: bytes) -> AnimationFrame:
    """Parse an fcTL chunk."""
    canvas = struct.unpack(">2I", header[:8])
    _, width, height, left, top, *delay, disposal, blending = struct.unpack(">5I2H2B", content)
    inside = left + width <= canvas[0] and top + height <= canvas[1]
    if not (width and height and inside and disposal < len(_PNG_DISPOSALS) and blending < 2):
        raise MagkitError("its frames are not described as the standard says", _HINT)
    # A denominator of 0 stands for hundredths of a second.
    seconds = Fraction(delay[0], delay[1] or 100)
    return AnimationFrame(
        left, top, width, height, seconds, _PNG_DISPOSALS[disposal], blending == 1
    )


def _png_picture(
    control: AnimationFrame, data: Sequence[tuple[int, int]], reader: _Reader
) -> AnimationFrame:
    size = struct.pack(">2I", control.width, control.height)
    head = _SIGNATURE + _chunk(b"IHDR", size + reader.header[8:]) + reader.shared
    return replace(control, head=head, data=tuple(data))


def _wrap(data: bytes) -> bytes:
    return _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", checksum)


_EXTENSION, _IMAGE, _TRAILER = b"!", b",", b";"
_CONTROL = b"\xf9"  # label of the graphic control extension
_TABLE, _TABLE_SIZE = 0x80, 0x07  # flags of a colour table in packed fields

# Browsers take 4 for 3, which an old program meant by it; 0 and what is reserved for "keep".
_DISPOSALS = {2: Disposal.CLEAR, 3: Disposal.RESTORE, 4: Disposal.RESTORE}


@dataclass(frozen=True, slots=True)
class _Control:
    """A graphic control extension: what it says of the picture that follows.

    Args:
        block: Its content, or nothing.
        delay: Seconds.
        disposal: What becomes of the picture's area.
    """

    block: bytes = b""
    delay: Fraction = Fraction(0)
    disposal: Disposal = Disposal.KEEP


class _CutError(Exception):
    """The file ends too early."""


def open_gif(path: Path) -> ParsedAnimation:
    """The pictures of a GIF. None is decoded.

    The background is transparent, as in browsers, whatever colour the file names for it.

    Raises:
        MagkitError: The file is cut or damaged.
    """
    pictures: list[AnimationFrame] = []
    with decode_errors(path), path.open("rb") as file:
        try:
            width, height, flags = struct.unpack("<6x2HBxx", _exactly(file, 13))
            table = _table(file, flags)
            for picture in _pictures(file, table):
                pictures.append(picture)  # noqa: PERF402 - those before a cut are counted
        except _CutError:
            raise MagkitError(f"it breaks off after {len(pictures)} frames", _HINT) from None
        if not pictures:
            raise MagkitError("it holds no frame", _HINT)
    return ParsedAnimation(path, (width, height), pictures, lambda data: data + _TRAILER)


def _pictures(file: BinaryIO, shared: tuple[int, bytes]) -> Iterator[AnimationFrame]:
    control = _Control()
    while (mark := _exactly(file, 1)) != _TRAILER:
        if mark == _EXTENSION:
            label, blocks = _exactly(file, 1), list(_blocks(file))
            if label == _CONTROL and blocks and len(blocks[0]) == 4:
                control = _control(blocks[0])
        elif mark == _IMAGE:
            yield _picture(file, control, shared)
            control = _Control()
        elif mark != b"\0":  # some programs leave a block's end behind
            raise MagkitError(f"it is damaged at byte {file.tell() - 1}", _HINT)


def _control(block: bytes) -> _Control:
    flags, hundredths = struct.unpack("<BH", block[:3])
    disposal = _DISPOSALS.get(flags >> 2 & 7, Disposal.KEEP)
    return _Control(block, Fraction(hundredths, 100), disposal)


def _picture(file: BinaryIO, control: _Control, shared: tuple[int, bytes]) -> AnimationFrame:
    left, top, width, height, flags = struct.unpack("<4HB", _exactly(file, 9))
    size, colours = _table(file, flags) if flags & _TABLE else shared
    # As a file of its own: a canvas of its size, and the colours as its own table.
    head = b"GIF89a" + struct.pack("<2H3B", width, height, 0, 0, 0)
    if control.block:
        head += _EXTENSION + _CONTROL + b"\4" + control.block + b"\0"
    own = flags & ~(_TABLE | _TABLE_SIZE) | size
    head += _IMAGE + struct.pack("<4HB", 0, 0, width, height, own) + colours
    offset = file.tell()
    _exactly(file, 1)  # bits of the first codes
    for _ in _blocks(file):
        pass
    data = ((offset, file.tell() - offset),)
    delay, disposal = control.delay, control.disposal
    return AnimationFrame(left, top, width, height, delay, disposal, True, head, data)


def _table(file: BinaryIO, flags: int) -> tuple[int, bytes]:
    """The flags of a colour table, and its colours; 0 and nothing where there is none."""
    if not flags & _TABLE:
        return 0, b""
    return flags & (_TABLE | _TABLE_SIZE), _exactly(file, 6 << (flags & _TABLE_SIZE))


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """The sub-blocks up to the empty one."""
    while length := _exactly(file, 1)[0]:
        yield _exactly(file, length)


def _exactly(file: BinaryIO, length: int) -> bytes:
    content = file.read(length)
    if len(content) < length:
        raise _CutError
    return content
