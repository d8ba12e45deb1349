"""TIFF stacks of one directory: the pixels of further images follow those of the first.

ImageJ writes stacks above 4 GB so, and other programs that follow it write all of theirs so.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magkit.video.pictures import PictureFile
from magkit.video.stack_text import read_text

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
