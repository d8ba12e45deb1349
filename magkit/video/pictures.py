"""Still pictures of every kind as 8-bit RGB, through Pillow."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from magkit.errors import MagkitError

# What cameras write. (To look for a turn in a PNG, Pillow would decode all of it.)
_TURNED = {"JPEG", "MPO", "TIFF", "WEBP"}


def to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """A picture as (H, W, 3) uint8 RGB, upright.

    16 bits are rounded to 8, grey and palettes become RGB, and what is transparent lies on black.

    Raises:
        MagkitError: Its pixels are floating-point numbers, whose range nothing tells.
    """
    if image.format in _TURNED:
        image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise MagkitError("pictures of floating-point numbers can't be read")
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, (0, 0, 0, 255)), layer)
    return np.array(image.convert("RGB"))


def _from_16_bit(image: Image.Image) -> NDArray[np.uint8]:
    grey = np.asarray(image).astype(np.int64).clip(0, 65535)
    # 257 * 255 = 65535: white stays white.
    eight = ((grey + 128) // 257).astype(np.uint8)
    return np.repeat(eight[:, :, None], 3, axis=2)


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height as displayed, without reading the pixels."""
    width, height = image.size
    if image.format not in _TURNED:
        return width, height
    if image.format == "TIFF":
        # Pillow's newer versions have turned the size of a TIFF already, as older ones have not.
        tags = image.tag_v2  # type: ignore[attr-defined]
        width, height = tags.get(256, width), tags.get(257, height)
    # EXIF orientations 5 to 8 turn by a quarter.
    turned = image.getexif().get(0x0112, 1) >= 5
    return (height, width) if turned else (width, height)
