"""What picture files say of the depth of the values that their 16 bits hold."""

import re
from dataclasses import dataclass
from typing import Any, BinaryIO

from PIL.ImageFile import ImageFile

_MOST_CHUNKS = 100

_DESCRIPTION = 270  # ImageDescription
_MAXIMA = (281, 341)  # MaxSampleValue, SMaxSampleValue
_BITS = 258  # BitsPerSample


@dataclass(frozen=True, slots=True)
class Declared:
    """A depth that a file states.

    Args:
        bits: Significant bits of a value, 8 to 15.
        scaled: Whether values were scaled up to 16 bits when they were stored, which the values
            can disprove; otherwise they run up to 2 ** bits - 1.
    """

    bits: int
    scaled: bool = False


def png_depth(file: BinaryIO) -> Declared | None:
    """The depth that the sBIT chunk of a 16-bit PNG states.

    Samples are scaled to the full range, says the standard (PNG, third edition, 11.3.2.7), which
    not every camera's program does.
    """
    file.seek(8)
    for _ in range(_MOST_CHUNKS):
        length, kind = int.from_bytes(file.read(4)), file.read(4)
        if kind == b"sBIT" and length <= 4:
            bits = max(file.read(length), default=0)
            return Declared(bits, scaled=True) if 8 <= bits <= 15 else None
        if kind in {b"", b"PLTE", b"IDAT"}:  # it stands before these
            break
        file.seek(length + 4, 1)
    return None


def tiff_depth(image: ImageFile) -> Declared | None:
    """The depth that a 16-bit TIFF page states in its tags.

    MaxSampleValue and ImageJ's display range may be statistics of the pixels: they state a depth
    where they are the largest value of one, such as 4095.
    """
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    stored = max(tags.get(_BITS, (16,)))
    if stored < 16:  # packed
        return Declared(stored)
    text = str(tags.get(_DESCRIPTION, ""))
    if match := re.search(r'SignificantBits="(\d{1,2})"', text):  # OME-XML
        return Declared(int(match[1])) if 8 <= int(match[1]) <= 15 else None
    values = [value for tag in _MAXIMA for value in _numbers(tags.get(tag))]
    if text.startswith("ImageJ=") and re.search(r"^min=0(\.0*)?\s*$", text, re.MULTILINE):
        values += [float(n) for n in re.findall(r"^max=(\d{1,9})(?:\.0*)?\s*$", text, re.MULTILINE)]
    known = [bits for bits in range(8, 16) if values and max(values) == 2**bits - 1]
    return Declared(known[0]) if known else None


def _numbers(value: Any) -> list[float]:
    values = value if isinstance(value, tuple) else (value,)
    return [float(one) for one in values if isinstance(one, int | float)]
