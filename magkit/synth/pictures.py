"""Pictures and cut-out objects from files of any kind, wherever they are."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import distance_transform_edt

from magkit.errors import MagkitError
from magkit.synth.files import ListedFiles
from magkit.synth.listing import find_files
from magkit.synth.sources import MIN_AREA, TensorCache, fit_longest
from magkit.synth.storage import first_line, on_disk, read_bytes
from magkit.video.pictures import decode_picture, oriented_size

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
# Pillow goes by content, not by name, and starts other programs for some formats.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
MIN_SIDE = 64  # pixels: a smaller picture is no background
MAX_PIXELS = 64_000_000  # a larger picture would fill the memory
HEADER = 1 << 18  # bytes at a file's beginning that tell a picture's size, but for odd ones


def open_picture(data: bytes, place: str) -> Image.Image:
    """Open a file's content as a picture, its pixels still undecoded.

    Raises:
        MagkitError: it is none, or too large a one.
    """
    with decoding(place):
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width} x {image.height}"
        raise MagkitError(f"{place} is too large a picture: {size} pixels")
    return image


def read_rgb(place: str | Path) -> torch.Tensor:
    """Read a picture of any mode, turned upright by its EXIF tag, as uint8 (3, h, w).

    Raises:
        MagkitError: the file is no picture, a broken or a huge one.
    """
    return decode_rgb(read_bytes(str(place)), str(place))


def decode_rgb(data: bytes, place: str) -> torch.Tensor:
    """Decode a file's content as `read_rgb` does; `place` names it in what is raised."""
    open_picture(data, place)  # of a known kind, and not too large
    with decoding(place):
        pixels = decode_picture(data)
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def picture_size(start: bytes, place: str) -> tuple[int, int]:
    """Return the height and width of a picture, upright, undecoded.

    Args:
        start: the first `HEADER` bytes of its file; the rest is read where these don't tell it.
        place: of the file.

    Raises:
        MagkitError: the file is no picture, or a huge one.
        UnreachableError: it can't be had.
    """
    try:
        image = open_picture(start, place)
    except MagkitError:
        if len(start) < HEADER:
            raise
        image = open_picture(read_bytes(place), place)
    with decoding(place):
        width, height = oriented_size(image)
    return height, width


@contextmanager
def decoding(place: str) -> Iterator[None]:
    """Turn whatever a decoder raises over a file into a MagkitError, and keep its warnings back.

    Pillow warns of odd tags and large sizes, of which there are many among many files.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except MagkitError as error:
        raise MagkitError(f"{place}: {error.message}", error.hint) from error
    except Exception as error:  # decoders raise what comes their way
        text = f"{place} is not a picture that can be read: {first_line(error)}"
        raise MagkitError(text) from error


class FilePictures(ListedFiles):
    """The pictures of a place that are at least 64 pixels wide and high.

    The headers of files on this machine are looked at first. Elsewhere a file is looked at when it
    is needed. A picture that turns out broken or too small then is replaced by the next one that
    isn't, and listed in `unreadable`. What index gives what picture depends on the place alone.

    Raises:
        MagkitError: there is nothing at the place, or no usable picture.
    """

    def __init__(self, location: str | Path, cache: TensorCache | None = None) -> None:
        listing = find_files(str(location), SUFFIXES).keep(_may_be_used)
        if not len(listing):
            raise MagkitError(f"{location} holds no usable picture", "JPEG, PNG, WebP, TIFF, BMP")
        super().__init__(listing, _decoded, "holds no picture that can be read", cache)

    def picture(self, index: int) -> torch.Tensor:
        """Return picture `index`, or the first after it that can be read, as uint8 (3, h, w).

        Raises:
            MagkitError: none can be read.
        """
        return self.readable(index)[1]


def _decoded(data: bytes, place: str) -> torch.Tensor:
    pixels = decode_rgb(data, place)
    if min(pixels.shape[1:]) < MIN_SIDE:
        raise MagkitError(f"{place} is too small")
    return pixels


def _may_be_used(place: str) -> bool:
    if not on_disk(place):
        return True
    try:
        with decoding(place), Image.open(place, formats=FORMATS) as image:
            return min(image.size) >= MIN_SIDE
    except MagkitError:
        return False


CUTOUT_SUFFIXES = {".png", ".webp", ".tif", ".tiff"}
LONGEST = 1024  # pixels: larger cut-outs are shrunk to this when they are read
FAINT = 16  # of 255: where alpha is lower, a colour means nothing


def decode_rgba(data: bytes, place: str) -> torch.Tensor:
    """Decode a cut-out as uint8 RGBA (4, h, w), cut to its object and a pixel around it.

    Where it is transparent its colours are those of the nearest place where it isn't, so that
    none bleeds in at the edge when it is resized.

    Raises:
        MagkitError: it is no picture or a broken one, transparent nowhere or everywhere, or tiny.
    """
    image = open_picture(data, place)
    with decoding(place):
        if not image.has_transparency_data:
            raise MagkitError("it has no transparency")
        layer = image.convert("RGBA")
        layer.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
        pixels = np.pad(np.asarray(layer), ((1, 1), (1, 1), (0, 0)))
    alpha = pixels[..., 3]
    if alpha[1:-1, 1:-1].min() == 255:
        raise MagkitError(f"{place} is transparent nowhere")
    if alpha.sum(dtype=np.int64) < 255 * MIN_AREA:
        raise MagkitError(f"{place} is transparent everywhere, or shows a tiny object")
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    pixels = pixels[rows[0] - 1 : rows[-1] + 2, columns[0] - 1 : columns[-1] + 2]
    faint = pixels[..., 3] < FAINT
    if not faint.all():
        nearest = distance_transform_edt(faint, return_distances=False, return_indices=True)
        pixels = np.dstack([pixels[..., :3][tuple(nearest)], pixels[..., 3]])
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


class FileCutouts(ListedFiles):
    """The cut-outs of a place: PNG, WebP or TIFF with transparency.

    One that is broken, tiny, opaque or wholly transparent is replaced by the next that isn't, and
    listed in `unreadable`.

    Raises:
        MagkitError: there is nothing at the place.
    """

    def __init__(self, location: str | Path, cache: TensorCache | None = None) -> None:
        listing = find_files(str(location), CUTOUT_SUFFIXES)
        if not len(listing):
            raise MagkitError(f"{location} holds no cut-outs", "PNG, WebP or TIFF, or a COCO .json")
        super().__init__(listing, decode_rgba, "holds no cut-out that can be used", cache)

    def cutout(self, index: int, longest: int) -> torch.Tensor:
        """Return object `index` as float RGBA (4, h, w), longer side at most `longest`.

        Raises:
            MagkitError: none can be read.
        """
        return fit_longest(self.readable(index)[1], longest)
