"""TIFF stacks of one directory, and the descriptions that ImageJ and OME write."""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile

from magkit.video.info import snap_rate
from magkit.video.pictures import PictureFile

_DESCRIPTION = 270  # TIFF 6.0: ImageDescription

_NUMBER = r"(\d{1,9}(?:\.\d{1,18})?(?:[eE]-?\d{1,2})?)"
_SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), Fraction(1)),
    **dict.fromkeys(("ms", "msec"), Fraction(1, 1000)),
    **dict.fromkeys(("us", "µs", "usec"), Fraction(1, 1_000_000)),
    "min": Fraction(60),
}


@dataclass(frozen=True, slots=True)
class StackText:
    """The description of a file's first page.

    Args:
        text: As it stands there; empty: there is none.
    """

    text: str

    @property
    def is_imagej(self) -> bool:
        """Whether ImageJ wrote it, or a program that writes as ImageJ does."""
        return self.text.startswith("ImageJ=")

    def count(self, name: str) -> int:
        """How many "images", "channels", "slices" or "frames" ImageJ says that there are."""
        match = re.search(rf"^{name}=(\d{{1,9}})\s*$", self.text, re.MULTILINE)
        return int(match[1]) if match and self.is_imagej else 1

    @property
    def rate(self) -> Fraction | None:
        """Frames a second: by the interval of frames, else as ImageJ plays them; None: untold."""
        if interval := self._interval():
            return snap_rate(1 / interval)
        match = re.search(rf"^fps={_NUMBER}\s*$", self.text, re.MULTILINE)
        told = Fraction(match[1]) if match and self.is_imagej else None
        return snap_rate(told) if told else None

    def _interval(self) -> Fraction | None:
        """Seconds from frame to frame, if they are told."""
        if self.is_imagej:
            match = re.search(rf"^finterval={_NUMBER}\s*$", self.text, re.MULTILINE)
            unit = re.search(r"^tunit=(\S+)\s*$", self.text, re.MULTILINE)
        else:
            match = re.search(rf'\bTimeIncrement="{_NUMBER}"', self.text)
            unit = re.search(r'\bTimeIncrementUnit="([^"]*)"', self.text)
        seconds = _SECONDS.get(unit[1] if unit else "s")
        return Fraction(match[1]) * seconds if match and seconds else None


def read_text(image: ImageFile) -> StackText:
    """The description of the page that an image is at; an empty one of other files than TIFF."""
    return StackText(str(getattr(image, "tag_v2", {}).get(_DESCRIPTION, "")))


# TIFF 6.0: BitsPerSample, Compression, PhotometricInterpretation, StripOffsets, SamplesPerPixel.
_BITS, _COMPRESSION, _PHOTOMETRIC, _OFFSETS, _SAMPLES = 258, 259, 262, 273, 277

_TYPES = {"L": ("u1", 1), "RGB": ("u1", 3), "I;16": ("<u2", 1), "I;16B": (">u2", 1)}
"""By Pillow's mode: how a value is stored, and how many a pixel has."""


@dataclass(frozen=True, slots=True)
class BareStack:
    """Images that lie one after another.

    Args:
        path: Of the file.
        offset: Where the first begins, in bytes.
        shape: Of each as an array.
        kind: Of a value.
        told: How many the file says that it holds.
        held: How many of them are there.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    kind: str
    told: int
    held: int

    def read(self, place: int) -> NDArray[Any]:
        """The values of an image, (H, W, 3), or greys (H, W) of 16 bits."""
        kind, count = np.dtype(self.kind), int(np.prod(self.shape))
        with self.path.open("rb") as file:
            file.seek(self.offset + place * count * kind.itemsize)
            values = np.fromfile(file, kind, count).reshape(self.shape)
        if kind.itemsize == 1 and len(self.shape) == 2:
            return np.repeat(values[:, :, None], 3, axis=2)
        return values.astype(kind.newbyteorder("="))


def find_bare_stack(path: Path, picture: PictureFile) -> BareStack | None:
    """The images that follow the only page of a file; None: there are none."""
    told = read_text(picture.image).count("images")
    if picture.pages > 1 or told == 1 or picture.image.mode not in _TYPES:
        return None
    tags: Any = picture.image.tag_v2  # type: ignore[attr-defined]
    kind, samples = _TYPES[picture.image.mode]
    size = np.dtype(kind).itemsize
    plain = (tags.get(_COMPRESSION), tags.get(_SAMPLES, 1), tags.get(_BITS)) == (
        *(1, samples),
        (8 * size,) * samples,
    )
    if not plain or tags.get(_PHOTOMETRIC) == 0 or _OFFSETS not in tags:
        return None
    height, width = picture.image.height, picture.image.width
    shape = (height, width, 3) if samples == 3 else (height, width)
    offset = int(tags[_OFFSETS][0])
    held = (path.stat().st_size - offset) // (int(np.prod(shape)) * size)
    return BareStack(path, offset, shape, kind, told, min(held, told)) if held > 1 else None
