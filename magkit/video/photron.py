"""Recordings of Photron cameras: a header, .cih or .cihx, and the frames beside it, .mraw.

The header of .cih is lines of "Name : value". A .cihx has XML between other data. The frames follow
one another without gaps: 8 or 16 bits a value, little-endian, or 12 bits packed; colours are RGB,
pixel by pixel. Known from the files and from the readers pyMRAW and readmraw.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree as ET

from magkit.errors import MagkitError
from magkit.video.info import FrameRangeReader, ReadOptions, VideoInfo
from magkit.video.pictures import decode_errors
from magkit.video.raw_frames import Layout, RawClip, rate_or_default, raw_depth

_MAX_BYTES = 1 << 20  # of a header, which has some 10 kB

_HEADERS, _FRAMES = (".cih", ".cihx", ".CIH", ".CIHX"), (".mraw", ".MRAW")

_STORED = (8, 12, 16)

_NUMBER = re.compile(r"\d{1,12}(\.\d{0,12})?", re.ASCII)

# By the name in a .cih, where its entry is in the XML of a .cihx.
_XML = {
    "Record Rate(fps)": "recordInfo/recordRate",
    "Total Frame": "frameInfo/totalFrame",
    "Image Width": "imageDataInfo/resolution/width",
    "Image Height": "imageDataInfo/resolution/height",
    "Color Type": "imageDataInfo/colorInfo/type",
    "Color Bit": "imageDataInfo/colorInfo/bit",
    "EffectiveBit Depth": "imageDataInfo/effectiveBit/depth",
    "EffectiveBit Side": "imageDataInfo/effectiveBit/side",
    "File Format": "imageFileInfo/fileFormat",
}


def open_photron(
    path: Path,
    options: ReadOptions = ReadOptions(),  # noqa: B008 - it is frozen
) -> tuple[VideoInfo, FrameRangeReader]:
    """Open a recording by its header or by its frames; the other file is found by its name.

    The rate is that of recording. A warning tells of a header whose rate may not be that of the
    frames that were kept.

    Returns:
        The record, and a function that streams frames first <= n < last, (H, W, 3) RGB.

    Raises:
        UsageError: The stated depth is impossible.
        MagkitError: A file is missing, damaged or truncated, or holds what isn't read.
    """
    given_frames = path.suffix.lower() == ".mraw"
    header = _beside(path, _HEADERS) if given_frames else path
    frames = path if given_frames else _beside(path, _FRAMES)
    with decode_errors(header):
        told = _Header.parse(_entries(header))
    with decode_errors(frames):
        _check_size(frames, told)
    if told.step > 1 and options.rate is None and told.rate is not None:
        logging.getLogger(__name__).warning(
            "%s: one of %d frames was saved, says the header: if so, their rate isn't the %.10g a "
            "second of recording, but --fps %.10g",
            *(header, told.step, told.rate, told.rate / told.step),
        )
    rate = rate_or_default(path, options.rate, told.rate)
    stored = told.layout.bits
    depth = raw_depth(path, stored, told.significant, options.bits)
    layout = replace(told.layout, shift=max(stored - depth.bits, 0) if told.higher else 0)
    clip = RawClip(frames, told.frames, layout, lambda _, number: number * layout.size)
    return clip.open(rate, depth, deep=options.deep)


def _beside(path: Path, suffixes: tuple[str, ...]) -> Path:
    for suffix in suffixes:
        if (other := path.with_suffix(suffix)).is_file():
            return other
    wanted = " or ".join(path.stem + suffix for suffix in suffixes if suffix.islower())
    raise MagkitError(
        f"{wanted} is missing beside {path}",
        hint="a Photron recording is two files: put both into one folder, under one name",
    )


@dataclass(frozen=True, slots=True)
class _Header:
    """What a header tells.

    Args:
        frames: How many there are.
        layout: Of each.
        significant: Bits in use of a stored value.
        higher: Whether these are the upper ones.
        rate: Of recording, in frames a second; None: untold.
        step: One of how many frames was saved.
    """

    frames: int
    layout: Layout
    significant: int
    higher: bool
    rate: Fraction | None
    step: int

    @classmethod
    def parse(cls, entries: Mapping[str, str]) -> "_Header":
        if (form := entries.get("File Format", "MRaw")).lower() != "mraw":
            raise MagkitError(
                f"its frames are {form:.20}, not MRaw",
                hint="give the video or the folder of pictures that was saved with it",
            )
        layout = _layout(entries)
        step = entries.get("Save Step", "1")
        return cls(
            frames=_whole(entries, "Total Frame"),
            layout=layout,
            significant=_significant(entries, layout.bits),
            higher=entries.get("EffectiveBit Side", "Lower").lower() == "higher",
            rate=_rate(entries),
            step=int(step) if re.fullmatch(r"\d{1,9}", step, re.ASCII) else 1,
        )


def _layout(entries: Mapping[str, str]) -> Layout:
    width, height = _whole(entries, "Image Width"), _whole(entries, "Image Height")
    kind = entries.get("Color Type", "Mono").lower()
    if kind not in {"mono", "color"}:
        raise MagkitError(
            f"its colours are {kind:.20}, not Mono or Color", hint="save it as colours (RGB)"
        )
    stored = _stored(_whole(entries, "Color Bit"), kind == "color")
    if stored == 12 and height * width % 2:
        raise MagkitError(f"{width}x{height} pixels of 12 bits don't fill whole bytes")
    return Layout((height, width, 3) if kind == "color" else (height, width), stored)


def _significant(entries: Mapping[str, str], stored: int) -> int:
    """Bits in use of a stored value."""
    if "EffectiveBit Depth" not in entries:
        return stored
    # Of what is stored with 8 bits, the header may still tell the depth of the camera.
    depth = min(_whole(entries, "EffectiveBit Depth"), stored)
    if depth < 8:
        raise MagkitError(f"it says that {depth} bits are in use, not 8 to 16")
    return depth


def _stored(bits: int, colour: bool) -> int:
    """Bits of a stored value; of colours the header tells those of a pixel."""
    stored = bits // 3 if colour and bits % 3 == 0 and bits > max(_STORED) else bits
    if stored not in _STORED:
        raise MagkitError(
            f"it has {bits} bits a pixel", hint="8, 12 and 16 bits are read, 24, 36 and 48 of RGB"
        )
    return stored


def _whole(entries: Mapping[str, str], name: str) -> int:
    text = entries.get(name)
    if text is None:
        raise MagkitError(f"it has no entry {name!r}")
    if not re.fullmatch(r"0*[1-9]\d{0,9}", text, re.ASCII):
        raise MagkitError(f"its {name!r} is {text[:20]!r}, not a whole number above 0")
    return int(text)


def _rate(entries: Mapping[str, str]) -> Fraction | None:
    """Frames a second; None where a clock from outside drove the camera."""
    text = entries.get("Record Rate(fps)", "")
    return (Fraction(text) or None) if _NUMBER.fullmatch(text) else None


def _entries(header: Path) -> dict[str, str]:
    """The entries of a header, by their names in a .cih."""
    with header.open("rb") as file:
        data = file.read(_MAX_BYTES)
    start, end = data.find(b"<cih>"), data.rfind(b"</cih>")
    if start >= 0 and end > start:
        # Without what stands before the root there are no entities that could expand.
        text = data[start : end + len(b"</cih>")].decode("utf-8", "replace")
        # A comment may hold what no XML has: bytes of other encodings, control characters.
        root = ET.fromstring(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "", text))
        found = {name: root.findtext(place) for name, place in _XML.items()}
        return {name: text.strip() for name, text in found.items() if text and text.strip()}
    entries: dict[str, str] = {}
    for line in data.decode("latin-1").splitlines():
        name, colon, value = line.partition(":")
        if colon and value.strip():
            entries.setdefault(name.strip(), value.strip())
    if "Image Width" not in entries:
        raise MagkitError("it is no header of a Photron camera")
    return entries


def _check_size(frames: Path, told: _Header) -> None:
    """Compare what the header tells with the size of the file, before anything is allocated."""
    held, size = frames.stat().st_size, told.layout.size
    if held < told.frames * size:
        raise MagkitError(
            f"it breaks off after {held // size} of {told.frames} frames, or its header is of "
            "another recording",
            hint="copy it once more; or set 'Total Frame' in the header to the frames that exist",
        )
    if held % size:
        logging.getLogger(__name__).warning(
            "%s isn't a whole number of frames of %d bytes: its header may be of another recording",
            *(frames, size),
        )
