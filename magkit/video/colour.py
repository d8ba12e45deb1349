"""Colour conversion: RGB to full-range YCbCr, and colours as a picture file stores them."""

import re
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

from magkit.errors import MagkitError
from magkit.video.info import Frame

# The weights of red and blue in luma: ITU-T H.273, table 4.
_WEIGHTS = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt470bg": (0.299, 0.114),
    "smpte170m": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": (0.2627, 0.0593),
}

MATRICES = frozenset(_WEIGHTS)
"""The matrices that are read and written, as ffmpeg spells them."""


def full_range(frame: Frame, matrix: str) -> Frame:
    """The planes Y, Cb and Cr.

    Args:
        frame: (H, W, 3) RGB, uint8.
        matrix: As ffmpeg spells it.

    Returns:
        (3, H, W) uint8: luma 0-255, chroma about 128.
    """
    red, blue = _WEIGHTS[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    rows = [luma, ([0, 0, 1] - luma) / (2 - 2 * blue), ([1, 0, 0] - luma) / (2 - 2 * red)]
    planes = np.stack(rows).astype(np.float32) @ frame.reshape(-1, 3).T.astype(np.float32)
    planes += np.array([[0.5], [128.5], [128.5]], np.float32)  # the half rounds
    return planes.clip(0, 255).astype(np.uint8).reshape(3, *frame.shape[:2])


# The raw modes of Pillow's decoders: LA;16B or RGBa;16N are 16-bit, RGBa is premultiplied.
_STORED = re.compile(r"(?:(?:RGB[AaX]?|LA);16[BLN]|RGBaX*)")
_OPPOSITE = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}

_PLANAR = 284  # TIFF 6.0: PlanarConfiguration
_BITS = 258  # BitsPerSample


def changes_colour(image: ImageFile) -> bool:
    """Whether Pillow would change the values of an image whose pixels aren't decoded yet.

    Raises:
        MagkitError: It stores 16-bit colours plane by plane, which Pillow reads wrongly.
    """
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    if image.mode != "L" and tags.get(_PLANAR) == 2 and 16 in tags.get(_BITS, ()):
        raise MagkitError(
            "its 16-bit colours lie in separate planes", hint="save it with interleaved colours"
        )
    return bool(image.tile) and bool(_STORED.fullmatch(_raw_mode(image)))


def is_16_bit(image: ImageFile) -> bool:
    """Whether an image whose pixels aren't decoded yet stores 16-bit colours."""
    return bool(image.tile) and ";16" in _raw_mode(image) and changes_colour(image)


class StoredReader:
    """The colours of a file's pages as they are stored; read fastest in rising order."""

    def __init__(self, opener: Callable[[], BinaryIO], stack: ExitStack) -> None:
        """Read through `opener`'s files, which `stack` closes."""
        self._opener, self._stack = opener, stack
        self._images: dict[str, ImageFile] = {}

    def read(self, index: int) -> NDArray[Any]:
        """A page's colours on black: (H, W, 3), or (H, W) of greys with alpha."""
        image = self._page("upper", index)
        raw_mode, transparent = _raw_mode(image), image.info.get("transparency")
        values = self.values(index)
        if isinstance(transparent, tuple):
            values[(values == transparent).all(-1)] = 0
        return _on_black(values, premultiplied="a" in raw_mode)

    def values(self, index: int) -> NDArray[Any]:
        """A page's values: (H, W, 2 to 4), greys or RGB, with alpha if there is any."""
        image = self._page("upper", index)
        raw_mode = _raw_mode(image)
        if raw_mode == "LA;16B":
            values: NDArray[Any] = _decode(image, "RGBA").view(">u2").astype(np.uint16)
        else:
            values = _decode(image, raw_mode.replace("a", "A"))
            if ";16" in raw_mode:
                lower = _decode(self._page("lower", index), _swapped(raw_mode))
                values = values.astype(np.uint16) << 8 | lower
        return values

    def _page(self, half: str, index: int) -> ImageFile:
        image = self._images.get(half)
        if image is not None:
            image.seek(index)
        if image is None or not image.tile:  # the same page once more
            file = self._stack.enter_context(self._opener())
            image = self._images[half] = Image.open(file, formats=("PNG", "TIFF"))
            image.seek(index)
        return image


def _raw_mode(image: ImageFile) -> str:
    args: Any = image.tile[0][3]
    return str(args if isinstance(args, str) else args[0])


def _swapped(raw_mode: str) -> str:
    return raw_mode.replace("a", "A")[:-1] + _OPPOSITE[raw_mode[-1]]


def _decode(image: ImageFile, raw_mode: str) -> NDArray[np.uint8]:
    """An image's pixels, unpacked by another raw mode."""

    def changed(args: Any) -> Any:
        return raw_mode if isinstance(args, str) else (raw_mode, *args[1:])

    image.tile = [tile._replace(args=changed(tile[3])) for tile in image.tile]
    image.load()
    return np.array(image)


def _on_black(values: NDArray[Any], *, premultiplied: bool) -> NDArray[Any]:
    channels = values.shape[2]
    if channels in {2, 4} and not premultiplied:
        full = np.iinfo(values.dtype).max
        colours, alpha = values[..., :-1].astype(np.uint32), values[..., -1:]
        values = ((colours * alpha + full // 2) // full).astype(values.dtype)
    return values[..., 0] if channels == 2 else values[..., :3]
