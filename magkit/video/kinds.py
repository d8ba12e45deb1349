"""Kinds of pictures, told by a file's first bytes and, for camera raw files, by its suffix."""

from importlib.util import find_spec
from pathlib import Path

from magkit.errors import MagkitError
from magkit.video.raw_stream import raw_stream

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


def kind_of(path: Path) -> str | None:
    """The kind of picture that a file holds, such as "PNG" or "HEIC"; None: it is no picture."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    kind = _kind_of_bytes(head)
    # Raw files of most cameras are TIFF files with a preview in front.
    if kind == "TIFF" and (head[8:10] == b"CR" or kind_by_suffix(path) == "camera raw"):
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


def kind_by_suffix(path: Path) -> str | None:
    """The kind that a file's suffix names, of those that aren't frames; None for other suffixes."""
    return None if path.suffix.lower() in SUFFIXES else _SUFFIX_KINDS.get(path.suffix.lower())


def is_picture(path: Path) -> bool:
    """Whether a file holds a picture, still or animated, by its content: not for ffmpeg.

    Pictures written one after another, such as raw motion JPEG, are a video.
    """
    kind = kind_of(path)
    return kind is not None and raw_stream(path) is None


def is_stack(path: Path) -> bool:
    """Whether a file is a TIFF: as a clip, a stack of pages."""
    return kind_of(path) == "TIFF"


def unread_kind(path: Path, kind: str) -> MagkitError:
    """The error for a picture of a kind that isn't read."""
    return MagkitError(
        f"{path} is {kind}, not a video or picture that magkit reads", conversion_hint(kind)
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
