"""The pictures that a GIF stores (GIF89a specification)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from magkit.errors import MagkitError
from magkit.video.compose import Disposal, StoredAnimation, StoredPicture
from magkit.video.pictures import decoding

_HINT = "copy the file once more"

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


def open_gif(path: Path) -> StoredAnimation:
    """The pictures of a GIF. None is decoded.

    The background is transparent, as in browsers, whatever colour the file names for it.

    Raises:
        MagkitError: The file is cut or damaged.
    """
    pictures: list[StoredPicture] = []
    with decoding(path), path.open("rb") as file:
        try:
            width, height, flags = struct.unpack("<6x2HBxx", _exactly(file, 13))
            table = _table(file, flags)
            for picture in _pictures(file, table):
                pictures.append(picture)  # noqa: PERF402 - those before a cut are counted
        except _CutError:
            raise MagkitError(f"it breaks off after {len(pictures)} frames", _HINT) from None
        if not pictures:
            raise MagkitError("it holds no frame", _HINT)
    return StoredAnimation(path, (width, height), pictures, lambda data: data + _TRAILER)


def _pictures(file: BinaryIO, shared: tuple[int, bytes]) -> Iterator[StoredPicture]:
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


def _picture(file: BinaryIO, control: _Control, shared: tuple[int, bytes]) -> StoredPicture:
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
    return StoredPicture(left, top, width, height, delay, disposal, True, head, data)


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
