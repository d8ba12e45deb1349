"""Files that hold whole pictures one after another: raw motion JPEG, PNG and BMP streams."""

import mmap
import re
from dataclasses import dataclass
from pathlib import Path

_PNG = b"\x89PNG\r\n\x1a\n"
_SOI = b"\xff\xd8\xff"

# Encoders may fill up a picture with zeros before the next one.
_PADDING = 4096

# In coded data FF is followed by 0 or by a restart marker (ITU-T T.81, B.1.1.5).
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def raw_stream(path: Path) -> str | None:
    """The demuxer by which ffmpeg reads pictures one after another; None: it is no such stream.

    Motion JPEG has pictures of one size. A thumbnail, a trailer of the camera or the pictures of a
    multi-picture file (MPO) don't make a photograph a stream.
    """
    with path.open("rb") as file:
        head = file.read(len(_PNG))
        known = head == _PNG or head.startswith((_SOI, b"BM"))
        if not known:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if head == _PNG:
                return "png_pipe" if _png_follows(data) else None
            if head.startswith(_SOI):
                return "mjpeg" if _jpeg_follows(data) else None
            return "bmp_pipe" if _bmp_follows(data) else None


def _png_follows(data: mmap.mmap) -> bool:
    position = len(_PNG)
    while (kind := data[position + 4 : position + 8]) and kind != b"IEND":
        # Length, type, content, checksum.
        position += 12 + int.from_bytes(data[position : position + 4])
    return data[position + 12 : position + 12 + len(_PNG)] == _PNG


def _bmp_follows(data: mmap.mmap) -> bool:
    size = int.from_bytes(data[2:6], "little")
    return size > 26 and data[size : size + 2] == b"BM" and data[size + 6 : size + 10] == b"\0" * 4


def _jpeg_follows(data: mmap.mmap) -> bool:
    first = _read_jpeg(data, 0)
    if first.end is None or first.has_directory:
        return False
    rest = data[first.end : first.end + _PADDING + len(_SOI)].lstrip(b"\0")
    if not rest.startswith(_SOI):
        return False
    start = data.find(_SOI, first.end)
    return first.size is not None and _read_jpeg(data, start).size == first.size


@dataclass(slots=True)
class _Jpeg:
    """What the markers of one JPEG picture tell.

    Args:
        end: Where it ends; None: the file breaks off before.
        size: The bytes of height and width; None: there are none.
        has_directory: Whether it lists further pictures of its file.
    """

    end: int | None = None
    size: bytes | None = None
    has_directory: bool = False


def _read_jpeg(data: mmap.mmap, start: int) -> _Jpeg:
    """Go through the segments of the picture at `start` (ITU-T T.81, annex B)."""
    picture = _Jpeg()
    position = start + 2
    while match := _MARKER.search(data, position):
        marker, position = match[0][1], match.end()
        if marker == 0xD9:  # end of image
            picture.end = position
            break
        length = int.from_bytes(data[position : position + 2])
        if marker in range(0xC0, 0xD0) and marker not in {0xC4, 0xC8, 0xCC}:  # start of frame
            picture.size = data[position + 3 : position + 7]
        elif marker in {0xE1, 0xE2}:
            # The index of CIPA DC-007, and Google's directory of a file's pictures in XMP.
            content = data[position + 2 : position + length]
            listed = content.startswith(b"MPF\0") or b"Container:Directory" in content
            picture.has_directory = picture.has_directory or listed
        position += length
    return picture
