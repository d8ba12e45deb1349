"""The frames of an animation, composed of the pictures that a file stores for them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from magkit.video.depth_tags import Declared
from magkit.video.pictures import decode_rgba, decoding


class Disposal(Enum):
    """What becomes of a picture's area after its frame was shown."""

    KEEP = "keep"
    CLEAR = "clear"
    RESTORE = "restore"


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """The picture that makes a frame of the one before.

    Args:
        left: Pixels from the left edge of the canvas; what lies beyond the canvas is cut off.
        top: Pixels from its top.
        width: Pixels.
        height: Pixels.
        delay: Seconds that the frame is shown, as the file says.
        disposal: What happens to the area afterwards.
        blended: Whether the picture lies over what is there, in place of taking its place.
        head: What stands before the data where the picture is a file of its own.
        data: Offset and length of each piece of the compressed data.
    """

    left: int
    top: int
    width: int
    height: int
    delay: Fraction
    disposal: Disposal
    blended: bool
    head: bytes
    data: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class StoredAnimation:
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
    pictures: Sequence[StoredPicture]
    wrap: Callable[[bytes], bytes]
    deep: bool = False
    declared: Declared | None = None

    def frames(self, first: int, last: int) -> Iterator[NDArray[Any]]:
        """The frames first <= n < last over black, (H, W, 3) RGB, uint8 or uint16.

        Raises:
            MagkitError: A picture can't be decoded.
        """
        # To blend over black and to blend over a transparent canvas that is then shown over black
        # give the same colours, so that the canvas needs no alpha. Nothing is rounded on it.
        canvas = np.zeros((self.size[1], self.size[0], 3), np.float32)
        with decoding(self.path), self.path.open("rb") as file:
            for number, picture in enumerate(self.pictures[:last]):
                area = canvas[picture.top :, picture.left :][: picture.height, : picture.width]
                before = area.copy() if picture.disposal is Disposal.RESTORE else 0
                pixels = decode_rgba(picture.head + self.wrap(_read(file, picture)))
                _draw(area, pixels, blended=picture.blended)
                if number >= first:
                    yield np.rint(canvas).astype(pixels.dtype)
                if picture.disposal is not Disposal.KEEP:
                    area[:] = before


def _read(file: BinaryIO, picture: StoredPicture) -> bytes:
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
