"""Still pictures of every kind, and the pages of multi-page ones, as arrays.

Pixels are decoded through imageio.v3 and its Pillow plugin. Pillow is called directly for what that
plugin doesn't do:

- It tells no size as displayed, transparency or depth without decoding the picture.
- It turns grey pictures wrongly that EXIF says to mirror.
- It keeps 8 bits of 16-bit colours, and divides premultiplied ones by their alpha.
- It opens a file as whatever kind its content is, and Pillow starts other programs for some kinds.

imageio gets open files, never names: it takes some names for addresses or for parts of archives.
"""

import io
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Literal

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from magkit.errors import MagkitError
from magkit.video.depth import DeclaredDepth, Depth, png_depth, tiff_depth
from magkit.video.formats import READABLE, image_format, unsupported_format

# EXIF's orientation is what cameras write. (To look for it in a PNG, Pillow would decode the
# picture; pages of TIFF files it turns itself.)
_TURNED = {"JPEG", "MPO", "WEBP", "AVIF", "HEIF"}
_WITH_ALPHA = {"LA", "La", "PA", "RGBA", "RGBa"}

_WHOLE = Depth(16)

_SUBFILE, _REDUCED = 254, 1  # TIFF 6.0: the bit of NewSubfileType for a smaller version
_WIDTH, _HEIGHT, _PHOTOMETRIC, _ORIENTATION = 256, 257, 262, 274


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What is known of a picture without decoding it.

    Args:
        size: Width and height in pixels, upright.
        values: Whether it holds 8-bit values, or 16-bit greys or colours.
        declared: The depth that it states for its 16 bits; None: nothing.
        mode: Pillow's name of the form of its pixels.
        alpha: Whether some of it may be transparent.
        stored: Whether its colours are read as they are stored, past Pillow's conversion.
        orientation: How its pixels are still to be turned, as EXIF counts (1: not at all).
        reduced: Whether it is a smaller version of another page.
        white_is_zero: Whether the highest value of its 16-bit greys is black.
    """

    size: tuple[int, int]
    values: Literal["8", "grey16", "colour16"]
    declared: DeclaredDepth | None
    mode: str
    alpha: bool
    stored: bool
    orientation: int
    reduced: bool
    white_is_zero: bool

    @property
    def is_grey(self) -> bool:
        """Whether it holds grey levels, not colours."""
        return self.values == "grey16" or self.mode in {"1", "L", "LA", "La"}

    @property
    def is_deep(self) -> bool:
        """Whether its values have more than 8 bits."""
        return self.values != "8"


class PictureFile:
    """The headers and pixels of a picture's pages; pages are read fastest in rising order."""

    def __init__(self, opener: Callable[[], BinaryIO], stack: ExitStack) -> None:
        """Open the file.

        Args:
            opener: Opens it, once for each of its readers.
            stack: Closes them.
        """
        self._opener, self._stack = opener, stack
        self.image = open_image(stack.enter_context(opener()))
        self._stored = StoredReader(opener, stack)
        self._reader: Any = None

    @property
    def pages(self) -> int:
        """How many pictures the file holds."""
        return int(getattr(self.image, "n_frames", 1))

    def header(self, index: int = 0) -> ImageHeader:
        """What is known of a page without decoding it."""
        self.image.seek(index)
        return _describe(self.image, self._opener)

    def read(self, header: ImageHeader, index: int = 0) -> NDArray[Any]:
        """A page's values, upright, on black.

        Returns:
            (H, W, 3) uint8 RGB; of 16 bits uint16, (H, W, 3) or greys (H, W).
        """
        if header.stored:
            pixels: NDArray[Any] = self._stored.read(index)
        elif header.values == "grey16":
            pixels = self._read_grey(header, index)
        elif header.mode == "La":
            pixels = np.repeat(self._pixels(index)[..., :1], 3, axis=2)
        else:
            pixels = composite_on_black(self._pixels(index, "RGBA" if header.alpha else "RGB"))
        return _turn(pixels, header.orientation)

    def read_rgba(self, header: ImageHeader, index: int = 0) -> NDArray[Any]:
        """A page of a PNG or GIF as (H, W, 4) RGBA, not premultiplied: uint8, of 16 bits uint16."""
        if not header.is_deep:
            return self._pixels(index, "RGBA")
        values = self._stored.values(index) if header.stored else self._pixels(index)
        values = values.astype(np.uint16).reshape(*values.shape[:2], -1)
        if values.shape[2] in {2, 4}:
            colours, alpha = values[..., :-1], values[..., -1:]
        else:
            transparent = self.image.info.get("transparency", -1)
            colours = values
            alpha = np.where((values == transparent).all(-1, keepdims=True), 0, _WHOLE.white)
        shape = (*values.shape[:2], 3)
        return np.concatenate((np.broadcast_to(colours, shape), alpha.astype(np.uint16)), 2)

    def _pixels(self, index: int, mode: str | None = None) -> NDArray[Any]:
        if self._reader is None:
            file = self._stack.enter_context(self._opener())
            self._reader = self._stack.enter_context(iio.imopen(file, "r", plugin="pillow"))
        return np.asarray(self._reader.read(index=index, mode=mode))

    def _read_grey(self, header: ImageHeader, index: int) -> NDArray[np.uint16]:
        values = self._pixels(index)
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > 65535:
            raise MagkitError(
                f"its values run from {low:,} to {high:,}, and only 0 to 65,535 are read",
                hint="scale them, and save it with 16 bits",
            )
        grey = values.astype(np.uint16)
        transparent = self.image.info.get("transparency")
        if isinstance(transparent, int):
            grey[grey == transparent] = 0
        return 65535 - grey if header.white_is_zero else grey


def open_image(file: BinaryIO) -> ImageFile:
    """Pillow's image of a file of the kinds that are read; nothing is decoded yet."""
    return Image.open(file, formats=_formats())


@cache
def _formats() -> tuple[str, ...]:
    """The kinds that are read, as Pillow names them."""
    if "HEIC" in READABLE:
        from pillow_heif import register_heif_opener

        register_heif_opener()
    return tuple({"HEIC": "HEIF"}.get(kind, kind.upper()) for kind in sorted(READABLE))


@contextmanager
def open_picture(path: Path) -> Iterator[PictureFile]:
    """A picture that is open; what decoders raise over it inside names it as a MagkitError.

    Raises:
        MagkitError: It is no picture, of a kind that isn't read, damaged or too large.
    """
    with decode_errors(path), ExitStack() as stack:
        yield PictureFile(lambda: path.open("rb"), stack)


@contextmanager
def decode_errors(path: Path) -> Iterator[None]:
    """Turn whatever is raised over a picture into a MagkitError that names it."""
    try:
        yield
    except MagkitError as error:
        raise MagkitError(f"{path} can't be read: {error.message}", error.hint) from error
    except UnidentifiedImageError as error:
        kind = image_format(path)
        if kind is not None and kind not in READABLE:
            raise unsupported_format(path, kind) from error
        raise MagkitError(f"{path} is not a picture that can be read") from error
    except Image.DecompressionBombError as error:
        raise MagkitError(f"{path} is too large a picture: {error}") from error
    except OSError as error:
        what = "is damaged" if error.strerror is None else "can't be read"
        raise MagkitError(f"{path} {what}: {error.strerror or error}") from error
    except Exception as error:  # decoders raise what comes their way
        raise MagkitError(f"{path} is damaged: {error}") from error


def read_picture(path: Path, depth: Depth = _WHOLE, *, deep: bool = False) -> NDArray[Any]:
    """One picture as (H, W, 3) RGB, upright.

    Args:
        path: Of its file.
        depth: How 16-bit values are read.
        deep: Whether it comes as uint16 with white at 65535, or rounded to uint8.

    Raises:
        MagkitError: It can't be read.
    """
    with open_picture(path) as picture:
        return depth.frame(picture.read(picture.header()), deep=deep)


def decode_picture(data: bytes) -> NDArray[np.uint8]:
    """The content of a picture's file, as `read_picture` gives it.

    Raises:
        MagkitError: Nothing tells the range of its values. Decoders raise more.
    """
    with ExitStack() as stack:
        picture = PictureFile(lambda: io.BytesIO(data), stack)
        return _WHOLE.frame(picture.read(picture.header()), deep=False)


def decode_rgba(data: bytes) -> NDArray[Any]:
    """The content of a PNG's or GIF's file as (H, W, 4) RGBA, uint8, or uint16 of 16 bits.

    Raises:
        MagkitError: Nothing tells the range of its values. Decoders raise more.
    """
    with ExitStack() as stack:
        picture = PictureFile(lambda: io.BytesIO(data), stack)
        return picture.read_rgba(picture.header())


def composite_on_black(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) RGB of RGB or RGBA pixels: what is transparent lies on black."""
    if pixels.shape[2] == 3:
        return pixels
    if pixels[:, :, 3].min() == 255:
        return np.ascontiguousarray(pixels[:, :, :3])
    colours, alpha = pixels[:, :, :3].astype(np.uint32), pixels[:, :, 3:]
    return ((colours * alpha + 127) // 255).astype(np.uint8)


def _turn(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Pixels made upright (EXIF 2.32, section 4.6.4: Orientation)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def oriented_size(image: Image.Image) -> tuple[int, int]:
    """Width and height as displayed, without decoding the pixels."""
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    # Newer versions of Pillow tell a TIFF's size as displayed, older ones don't.
    width, height = tags.get(_WIDTH, image.width), tags.get(_HEIGHT, image.height)
    return (height, width) if _orientation(image) in range(5, 9) else (width, height)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation of what cameras write; a TIFF's own tag in any case."""
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    told = image.getexif() if image.format in _TURNED else tags
    return int(told.get(_ORIENTATION, 1))


def _describe(image: ImageFile, opener: Callable[[], BinaryIO]) -> ImageHeader:
    if image.mode == "F":
        raise MagkitError("pictures of floating-point numbers can't be read")
    tags: dict[int, Any] = getattr(image, "tag_v2", {})
    turned = _orientation(image)
    grey, colour = image.mode.startswith("I"), is_16_bit(image)
    return ImageHeader(
        size=oriented_size(image),
        values="grey16" if grey else "colour16" if colour else "8",
        declared=_declared(image, opener) if grey or colour else None,
        mode=image.mode,
        alpha=image.mode in _WITH_ALPHA or "transparency" in image.info,
        stored=changes_colour(image),
        orientation=turned if image.format in _TURNED and turned in range(1, 9) else 1,
        reduced=bool(tags.get(_SUBFILE, 0) & _REDUCED),
        white_is_zero=grey and tags.get(_PHOTOMETRIC) == 0,
    )


def _declared(image: ImageFile, opener: Callable[[], BinaryIO]) -> DeclaredDepth | None:
    if image.format == "TIFF":
        return tiff_depth(image)
    with opener() as file:
        return png_depth(file) if image.format == "PNG" else None


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
