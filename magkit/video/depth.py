"""The bit depth of greys and colours in 16 bits, and PNG files of 16-bit colours."""

import logging
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile

from magkit.errors import MagkitError, UsageError

_MOST_CHUNKS = 100

_DESCRIPTION = 270  # ImageDescription
_MAXIMA = (281, 341)  # MaxSampleValue, SMaxSampleValue
_BITS_PER_SAMPLE = 258  # BitsPerSample


@dataclass(frozen=True, slots=True)
class DeclaredDepth:
    """A depth that a file states.

    Args:
        bits: Significant bits of a value, 8 to 15.
        scaled: Whether values were scaled up to 16 bits when they were stored, which the values
            can disprove; otherwise they run up to 2 ** bits - 1.
    """

    bits: int
    scaled: bool = False


def png_depth(file: BinaryIO) -> DeclaredDepth | None:
    """The depth that the sBIT chunk of a 16-bit PNG states.

    Samples are scaled to the full range, says the standard (PNG, third edition, 11.3.2.7), which
    not every camera's program does.
    """
    file.seek(8)
    for _ in range(_MOST_CHUNKS):
        length, kind = int.from_bytes(file.read(4)), file.read(4)
        if kind == b"sBIT" and length <= 4:
            bits = max(file.read(length), default=0)
            return DeclaredDepth(bits, scaled=True) if 8 <= bits <= 15 else None
        if kind in {b"", b"PLTE", b"IDAT"}:  # it stands before these
            break
        file.seek(length + 4, 1)
    return None


def tiff_depth(image: ImageFile) -> DeclaredDepth | None:
    """The depth that a 16-bit TIFF page states in its tags.

    MaxSampleValue and ImageJ's display range may be statistics of the pixels: they state a depth
    where they are the largest value of one, such as 4095.
    """
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    stored = max(tags.get(_BITS_PER_SAMPLE, (16,)))
    if stored < 16:  # packed
        return DeclaredDepth(stored)
    text = str(tags.get(_DESCRIPTION, ""))
    if match := re.search(r'SignificantBits="(\d{1,2})"', text):  # OME-XML
        return DeclaredDepth(int(match[1])) if 8 <= int(match[1]) <= 15 else None
    values = [value for tag in _MAXIMA for value in _numbers(tags.get(tag))]
    if text.startswith("ImageJ=") and re.search(r"^min=0(\.0*)?\s*$", text, re.MULTILINE):
        values += [float(n) for n in re.findall(r"^max=(\d{1,9})(?:\.0*)?\s*$", text, re.MULTILINE)]
    known = [bits for bits in range(8, 16) if values and max(values) == 2**bits - 1]
    return DeclaredDepth(known[0]) if known else None


def _numbers(value: Any) -> list[float]:
    values = value if isinstance(value, tuple) else (value,)
    return [float(one) for one in values if isinstance(one, int | float)]


_FULL = 65535

_SAMPLED = 16  # pictures that are looked at to find the range of a clip's values
_DARK = 4  # a clip whose values lie below 1/4 of full scale may have two bits fewer
_COMMON = (8, 10, 12, 14, 16)


@dataclass(frozen=True, slots=True)
class Depth:
    """How the values of a clip are read.

    Args:
        bits: Significant bits of a value.
        white: Of 16-bit values, the one that stands for full scale.
    """

    bits: int = 8
    white: int = _FULL

    def frame(self, values: NDArray[Any], *, deep: bool) -> NDArray[Any]:
        """Values as a frame (H, W, 3): uint16 up to 65535 if `deep`, else uint8; rounded.

        Args:
            values: 8-bit or 16-bit, (H, W, 3) or greys (H, W).

        Raises:
            MagkitError: A value is above full scale.
        """
        if values.dtype != np.uint8 and self.white < _FULL and (peak := values.max()) > self.white:
            raise MagkitError(
                f"it holds the value {peak:,}, above the {self.white:,} of {self.bits} bits",
                hint=f"state a greater depth: --bits {_bits_of(int(peak))}",
            )
        scaled = scale_values(values, self.white, deep=deep)
        return scaled if scaled.ndim == 3 else np.repeat(scaled[:, :, None], 3, axis=2)


def scale_values(values: NDArray[Any], white: int, *, deep: bool) -> NDArray[Any]:
    """8-bit values, and 16-bit ones of which `white` is the largest, as uint16 or uint8."""
    if values.dtype == np.uint8:
        return values.astype(np.uint16) * 257 if deep else values
    if deep and white == _FULL:
        return values
    full, kind = (_FULL, np.uint16) if deep else (255, np.uint8)
    # 65535 * 65535 and the half that rounds fit into 32 bits.
    return ((values.astype(np.uint32) * full + white // 2) // white).astype(kind)


def grey_levels(frame: NDArray[Any]) -> NDArray[Any]:
    """The greys (H, W) of a frame (H, W, 3); a network may make its channels differ."""
    first = frame[..., 0]
    if (frame == first[..., None]).all():
        return np.ascontiguousarray(first)
    mean: NDArray[Any] = np.rint(frame.mean(2)).astype(frame.dtype)
    return mean


def require_8_bit(name: object, stated: int | None) -> Depth:
    """The depth of a clip without 16-bit pictures.

    Raises:
        UsageError: Another depth is stated.
    """
    if stated not in {None, 8}:
        raise UsageError(
            f"{name} has 8 bits a value, not {stated}",
            hint="--bits states how many of 16 bits are used",
        )
    return Depth(8)


def find_depth(
    name: object,
    declared: Sequence[DeclaredDepth | None],
    stated: int | None,
    read: Callable[[int], NDArray[Any]],
) -> Depth:
    """The depth of a clip: as stated, as its 16-bit pictures say, else 16 bits; 8 without such.

    A few of the pictures are read where no depth is stated. A warning names the range of their
    values where it leaves most of 16 bits unused.

    Args:
        name: The clip.
        declared: What each 16-bit picture says of its depth.
        stated: Bits that the user states for these, 8 to 16; None: none.
        read: Gives the values of one of them, by its place in `declared`.

    Raises:
        UsageError: The stated depth is not from 8 to 16, or there are only 8-bit pictures.
        MagkitError: A picture can't be read.
    """
    if not declared:
        return require_8_bit(name, stated)
    if stated is not None:
        if not 8 <= stated <= 16:
            raise UsageError(f"a depth is 8 to 16 bits, not {stated}", hint="such as 10, 12 or 14")
        return Depth(stated, 2**stated - 1)
    told = max((one for one in declared if one is not None), key=lambda one: one.bits, default=None)
    if told is None or None in declared:
        told = None
    places = sorted({int(n) for n in np.linspace(0, len(declared) - 1, _SAMPLED)})
    low, high, used = _range(read(place) for place in places)
    if told is not None and high < 2**told.bits:
        # What was scaled up has its lower bits empty, or filled with the upper ones: 0 or 1 here.
        unscaled = not told.scaled or used & (2 ** (16 - told.bits) - 1) > 1
        if unscaled:
            return Depth(told.bits, 2**told.bits - 1)
    if 0 < high < (_FULL + 1) // _DARK:
        logging.getLogger(__name__).warning(
            "%s: values run from %s to %s of 65,535 in %d of %d pictures: state the depth with "
            "--bits %d, or the clip comes out dark",
            *(name, f"{low:,}", f"{high:,}", len(places), len(declared), _bits_of(high)),
        )
    return Depth(told.bits if told is not None and told.scaled else 16)


def _range(pictures: Iterable[NDArray[Any]]) -> tuple[int, int, int]:
    """The lowest and the highest value, and all bits that are set in any."""
    low, high, used = _FULL, 0, 0
    for values in pictures:
        low, high = min(low, int(values.min())), max(high, int(values.max()))
        used |= int(np.bitwise_or.reduce(values, axis=None))
    return low, high, used


def _bits_of(value: int) -> int:
    """The least depth in use that holds a value."""
    return next(bits for bits in _COMMON if value < 2**bits)


_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BITS, _GREY, _RGB = 16, 0, 2
_UP = 2  # the filter: a row's difference to the row above


def encode_png16(frame: NDArray[np.uint16], level: int) -> bytes:
    """A frame as the content of a PNG file (PNG, third edition, sections 5, 9 and 11).

    Args:
        frame: (H, W, 3) RGB or greys (H, W), up to 65535.
        level: Of zlib's compression, 0 to 9.
    """
    height, width = frame.shape[:2]
    rows = frame.astype(">u2").reshape(height, -1).view(np.uint8)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    filtered[1:, 1:] = rows[1:] - rows[:-1]  # modulo 256
    colours = _RGB if frame.ndim == 3 else _GREY
    header = struct.pack(">IIBBBBB", width, height, _BITS, colours, 0, 0, 0)
    pixels = zlib.compress(filtered.tobytes(), level)
    parts = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
