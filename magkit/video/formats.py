"""Kinds of picture files by their first bytes, and raw streams of pictures."""

import mmap
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from magkit.errors import MagkitError

_PNG = b"\x89PNG\r\n\x1a\n"
_SOI = b"\xff\xd8\xff"

# Encoders may fill up a picture with zeros before the next one.
_PADDING = 4096

# In coded data FF is followed by 0 or by a restart marker (ITU-T T.81, B.1.1.5).
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def raw_image_demuxer(path: Path) -> str | None:
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


_HEAD = 512  # bytes

_SIGNATURES = {
    b"GIF8": "GIF",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF
    b"MM\0+": "TIFF",
    b"8BPS": "Photoshop",
    b"v/1\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"#?RGBE": "Radiance HDR",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL",
    b"FUJIFILMCCD-RAW": "camera raw",
    b"IIU\0": "camera raw",
    b"IIRO": "camera raw",
    b"IIRS": "camera raw",
    b"MMOR": "camera raw",
    b"FOVb": "camera raw",
    b"II\x1a\0\0\0HEAPCCDR": "camera raw",
}

# The brands of ISO base media files that hold still pictures (ISO/IEC 23008-12, annex B; MIAF).
_BRANDS = {
    b"heic": "HEIC",
    b"heix": "HEIC",
    b"heim": "HEIC",
    b"heis": "HEIC",
    b"mif1": "HEIC",
    b"avif": "AVIF",
    b"crx ": "camera raw",
}

# Kinds of files by their suffixes: what stands in a folder is named without opening it.
_BY_SUFFIX = {
    "HEIC": "heic heif hif",
    "AVIF": "avif",
    "JPEG XL": "jxl",
    "JPEG 2000": "jp2 j2k jpx",
    "Photoshop": "psd psb",
    "SVG": "svg svgz",
    "OpenEXR": "exr",
    "Radiance HDR": "hdr",
    "DPX": "dpx",
    "GIF": "gif",
    "PNM": "pgm ppm pnm pbm pam",
    "TGA": "tga",
    "DICOM": "dcm",
    "FITS": "fits",
    "camera raw": "dng cr2 cr3 crw nef nrw arw sr2 srf raf orf rw2 rwl pef srw 3fr fff iiq x3f",
}
_SUFFIX_KINDS = {f".{one}": kind for kind, names in _BY_SUFFIX.items() for one in names.split()}

# Pillow has an AVIF decoder from 11.3 on, in most of its builds.
_OPTIONAL = {"AVIF": "PIL._avif", "HEIC": "pillow_heif"}

READABLE = frozenset({"BMP", "GIF", "JPEG", "PNG", "TIFF", "WebP"}) | {
    kind for kind, module in _OPTIONAL.items() if find_spec(module)
}
"""The kinds that are decoded."""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}) | {
    suffix for suffix, kind in _SUFFIX_KINDS.items() if kind in READABLE & _OPTIONAL.keys()
}
"""The suffixes of frames in a folder, in lower case."""


def image_format(path: Path) -> str | None:
    """The kind of picture that a file holds, such as "PNG" or "HEIC"; None: it is no picture."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    kind = _kind_of_bytes(head)
    # Raw files of most cameras are TIFF files with a preview in front.
    if kind == "TIFF" and (head[8:10] == b"CR" or format_by_suffix(path) == "camera raw"):
        return "camera raw"
    return kind


def _kind_of_bytes(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    if head.startswith(b"\0\0\0\x0cjP  ") and head[20:24] != b"mjp2":  # Motion JPEG 2000
        return "JPEG 2000"
    if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<") and b"<svg" in head:
        return "SVG"
    return next((kind for mark, kind in _SIGNATURES.items() if head.startswith(mark)), None)


def format_by_suffix(path: Path) -> str | None:
    """The kind that a file's suffix names, of those that aren't frames; None for other suffixes."""
    return None if path.suffix.lower() in SUFFIXES else _SUFFIX_KINDS.get(path.suffix.lower())


RECORDINGS = frozenset({"Photron", "Cine", "NumPy"})
"""The formats of uncompressed frames: of two makers of high-speed cameras, and arrays."""

_CINE = b"CI\x2c\0"  # the mark, and the size of the header
_NUMPY = b"\x93NUMPY"
_PHOTRON = b"#Camera Information Header"

# A .cihx begins with bytes that no standard tells, and frames have no header at all.
_PHOTRON_SUFFIXES = frozenset({".cih", ".cihx", ".mraw"})


def recording_format(path: Path) -> str | None:
    """Which of `RECORDINGS` a file is, by its first bytes or, of Photron's, its suffix; or None."""
    if path.suffix.lower() in _PHOTRON_SUFFIXES:
        return "Photron"
    with path.open("rb") as file:
        head = file.read(len(_PHOTRON))
    marks = {_CINE: "Cine", _NUMPY: "NumPy", _PHOTRON: "Photron"}
    return next((kind for mark, kind in marks.items() if head.startswith(mark)), None)


def clip_format(path: Path) -> str | None:
    """The format of a clip of pictures or uncompressed frames; None: ffmpeg reads it.

    Concatenated pictures, such as raw motion JPEG, are a video.
    """
    if recording := recording_format(path):
        return recording
    kind = image_format(path)
    return kind if kind is not None and raw_image_demuxer(path) is None else None


def unsupported_format(path: Path, kind: str) -> MagkitError:
    """The error for a picture of a kind that isn't read."""
    return MagkitError(
        f"{path} is {kind}, not a video or picture that magkit reads", conversion_hint(kind)
    )


def still_picture(path: Path) -> MagkitError:
    """The error for a still picture that is given as a clip."""
    return MagkitError(
        f"{path} is a still picture", hint="give a video, or the folder with all the frames"
    )


def conversion_hint(kind: str) -> str:
    """How a picture of a kind that isn't read gets read."""
    if kind == "HEIC":
        return "pip install pillow-heif, or convert it to JPEG or PNG"
    if kind == "AVIF":
        return "install a Pillow with AVIF (11.3 or newer), or convert it to PNG"
    if kind == "GIF":
        return "an animation is a clip by itself; convert still ones to PNG"
    if kind == "SVG":
        return "convert it to PNG"
    return "convert it to PNG or TIFF, of 16 bits if it has more than 8"
