"""Pictures and cut-outs from local and remote files: decoded, prefetched, cached."""

from __future__ import annotations

import io
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import distance_transform_edt

from magkit.errors import MagkitError
from magkit.synth.listing import Listing, find_files
from magkit.synth.sources import MIN_AREA, TensorCache, fit_longest
from magkit.synth.storage import UnreachableError, first_line, is_local, on_disk, read_bytes
from magkit.video.pictures import decode_picture, oriented_size

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
# Pillow goes by content, and starts other programs for some formats.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
MIN_SIDE = 64  # pixels: a smaller picture is no background
MAX_PIXELS = 64_000_000  # of a picture
HEADER = 1 << 18  # bytes at the beginning of a file that usually hold a picture's size


def open_picture(data: bytes, place: str) -> Image.Image:
    """Open a file's content as a picture without decoding its pixels.

    Raises:
        MagkitError: it is no picture, or has more than 64 million pixels.
    """
    with decode_errors(place):
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
    """Decode a file's content as `read_rgb`; `place` is its name in errors."""
    open_picture(data, place)  # checks format and size
    with decode_errors(place):
        pixels = decode_picture(data)
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def picture_size(start: bytes, place: str) -> tuple[int, int]:
    """Return the height and width of a picture, upright, undecoded.

    Args:
        start: the first `HEADER` bytes of its file; the whole file is read if they don't suffice.
        place: of the file.

    Raises:
        MagkitError: the file is no picture, or too large.
        UnreachableError: it is unreachable.
    """
    try:
        image = open_picture(start, place)
    except MagkitError:
        if len(start) < HEADER:
            raise
        image = open_picture(read_bytes(place), place)
    with decode_errors(place):
        width, height = oriented_size(image)
    return height, width


@contextmanager
def decode_errors(place: str) -> Iterator[None]:
    """Convert any exception of a decoder to a MagkitError, and suppress Pillow's warnings."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except MagkitError as error:
        raise MagkitError(f"{place}: {error.message}", error.hint) from error
    except Exception as error:  # decoders raise what comes their way
        text = f"{place} is not a picture that can be read: {first_line(error)}"
        raise MagkitError(text) from error


CHECKED_ITEMS = 200  # if none of so many can be read, the source is unusable
MAX_UNREACHABLE = 8  # in a row: the fault is not the files'


class BrokenItems:
    """Finds readable items, and remembers broken ones.

    The replacement of a broken item depends on the items alone, not on the order of reading; only
    an unreachable file may be readable another time.

    Attributes:
        places: the broken files found so far.
    """

    def __init__(self) -> None:
        self.places: set[str] = set()
        self._numbers: set[int] = set()
        self._why = ""  # the first was broken

    def first(
        self,
        count: int,
        start: int,
        read: Callable[[int], torch.Tensor],
        place: Callable[[int], str],
    ) -> tuple[int, torch.Tensor]:
        """Return the number and tensor of the first readable item from `start` on, cyclically.

        Args:
            count: number of items.
            start: the first item.
            read: reads an item, or raises MagkitError.
            place: returns an item's file.

        Raises:
            MagkitError: none can be read, or several in a row are unreachable.
        """
        unreachable = 0
        for number in ((start + step) % count for step in range(count)):
            if number in self._numbers:
                continue
            try:
                return number, read(number)
            except MagkitError as error:
                unreachable += isinstance(error, UnreachableError)
                if unreachable == MAX_UNREACHABLE:
                    raise
                self._why = self._why or error.message
                self._numbers.add(number)
                self.places.add(place(number))
        raise MagkitError(f"{count} were tried, the first: {self._why}")


READ_THREADS = 16
PREFETCH_FILES = 64  # files
PREFETCH_BYTES = 4 << 20  # larger files aren't prefetched


class PrefetchReader:
    """Reads whole files, prefetched ones from memory.

    Prefetched files are kept until the next call of `prefetch`: at most 64 files of 4 MB.
    """

    def __init__(self) -> None:
        self._coming: dict[str, Future[bytes | None]] = {}

    def __reduce__(self) -> tuple[type[PrefetchReader], tuple[()]]:
        return PrefetchReader, ()

    def prefetch(self, places: Iterable[str]) -> None:
        """Begin to read remote files that are needed soon."""
        wanted = [place for place in dict.fromkeys(places) if not is_local(place)][:PREFETCH_FILES]
        for place in self._coming.keys() - wanted:
            self._coming.pop(place).cancel()
        for place in wanted:
            if place not in self._coming:
                self._coming[place] = _threads().submit(_small, place)

    def read(self, place: str) -> bytes:
        """Return the content of a file; raises as `read_bytes`."""
        coming = self._coming.get(place)
        data = coming.result() if coming else None
        return read_bytes(place) if data is None else data


def _small(place: str) -> bytes | None:
    try:
        return read_bytes(place, PREFETCH_BYTES)
    except MagkitError:
        return None  # `read` raises it again


@lru_cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(READ_THREADS, thread_name_prefix="read")


class FileItems(ABC):
    """Numbered items decoded from files: prefetched, cached, and replaced where broken.

    Args:
        failure: the beginning of the error if no item can be used.
        cache: of the decoded tensors.
    """

    def __init__(self, failure: str, cache: TensorCache | None) -> None:
        self._failure = failure
        self._cache = cache or TensorCache()
        self._reader = PrefetchReader()
        self._broken = BrokenItems()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def place(self, number: int) -> str:
        """Return the file of an item."""

    @abstractmethod
    def _load(self, number: int) -> torch.Tensor:
        """Read and decode an item; raises MagkitError if it can't be used."""

    def _key(self, number: int) -> Hashable:
        return self.place(number)

    @property
    def unreadable(self) -> set[str]:
        """Return the files that were replaced."""
        return self._broken.places

    def prepare(self, indices: Iterable[int]) -> None:
        """Begin to read remote files."""
        self._reader.prefetch(self.place(n) for n in indices if self._key(n) not in self._cache)

    def check_readable(self) -> None:
        """Check that one of at most 200 evenly spaced items can be read; stop at the first.

        Raises:
            MagkitError: none can be read, or several in a row are unreachable.
        """
        count = min(len(self), CHECKED_ITEMS)
        numbers = sorted({n * len(self) // count for n in range(count)})
        with self._failures():
            BrokenItems().first(
                count, 0, lambda n: self._read(numbers[n]), lambda n: self.place(numbers[n])
            )

    def readable(self, index: int) -> tuple[int, torch.Tensor]:
        """Return the number and tensor of the first usable item from `index` on.

        Raises:
            MagkitError: there is none.
        """
        with self._failures():
            return self._broken.first(len(self), index, self._read, self.place)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except MagkitError as error:
            raise MagkitError(f"{self._failure}: {error.message}", error.hint) from error

    def _read(self, number: int) -> torch.Tensor:
        return self._cache.get(self._key(number), lambda: self._load(number))


class ListedFiles(FileItems):
    """Items of which each is one file of a listing; `_decode` makes a tensor of its content."""

    _decode: Callable[[bytes, str], torch.Tensor]

    def __init__(self, listing: Listing, failure: str, cache: TensorCache | None) -> None:
        super().__init__(f"{listing.location} {failure}", cache)
        self.listing = listing

    def __len__(self) -> int:
        return len(self.listing)

    def place(self, number: int) -> str:
        """Return the place of file `number`."""
        return self.listing.place(number)

    def name(self, index: int) -> str:
        """Return the path, from the location on, of the file that item `index` is read from."""
        return self.listing.names[self.readable(index)[0]]

    def describe(self) -> list[dict[str, Any]]:
        """Return the listing's kind, location, counts and hash."""
        return [self.listing.describe()]

    def _load(self, number: int) -> torch.Tensor:
        place = self.place(number)
        return self._decode(self._reader.read(place), place)


def _decode_background(data: bytes, place: str) -> torch.Tensor:
    pixels = decode_rgb(data, place)
    if min(pixels.shape[1:]) < MIN_SIDE:
        raise MagkitError(f"{place} is too small")
    return pixels


class FilePictures(ListedFiles):
    """The pictures of a location that are at least 64 pixels wide and high.

    Headers of local files are read at once; remote files are read on demand. A broken or too small
    picture is then replaced by the next usable one, and listed in `unreadable`.

    Raises:
        MagkitError: the location holds no usable picture.
    """

    def __init__(self, location: str | Path, cache: TensorCache | None = None) -> None:
        listing = find_files(str(location), SUFFIXES).keep(_may_be_usable)
        if not len(listing):
            raise MagkitError(f"{location} holds no usable picture", "JPEG, PNG, WebP, TIFF, BMP")
        super().__init__(listing, "holds no picture that can be read", cache)

    _decode = staticmethod(_decode_background)

    def picture(self, index: int) -> torch.Tensor:
        """Return picture `index`, or the first after it that can be read, as uint8 (3, h, w).

        Raises:
            MagkitError: none can be read.
        """
        return self.readable(index)[1]


def _may_be_usable(place: str) -> bool:
    if not on_disk(place):
        return True
    try:
        with decode_errors(place), Image.open(place, formats=FORMATS) as image:
            return min(image.size) >= MIN_SIDE
    except MagkitError:
        return False


CUTOUT_SUFFIXES = {".png", ".webp", ".tif", ".tiff"}
MAX_CUTOUT_SIDE = 1024  # pixels, to which larger cut-outs are shrunk
FAINT = 16  # alpha of 255 below which a colour is ignored


def decode_rgba(data: bytes, place: str) -> torch.Tensor:
    """Decode a cut-out as uint8 RGBA (4, h, w), cut to its object and a pixel around it.

    Transparent pixels get the colour of the nearest opaque one, which prevents colour bleeding
    at the edge when it is resized.

    Raises:
        MagkitError: it is no picture or a broken one, transparent nowhere or everywhere, or tiny.
    """
    image = open_picture(data, place)
    with decode_errors(place):
        if not image.has_transparency_data:
            raise MagkitError("it has no transparency")
        layer = image.convert("RGBA")
        layer.thumbnail((MAX_CUTOUT_SIDE, MAX_CUTOUT_SIDE), Image.Resampling.LANCZOS)
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
    """The cut-outs of a location: PNG, WebP or TIFF with transparency.

    A broken, tiny, opaque or fully transparent one is replaced by the next usable one, and listed
    in `unreadable`.

    Raises:
        MagkitError: the location holds no cut-outs.
    """

    def __init__(self, location: str | Path, cache: TensorCache | None = None) -> None:
        listing = find_files(str(location), CUTOUT_SUFFIXES)
        if not len(listing):
            raise MagkitError(f"{location} holds no cut-outs", "PNG, WebP or TIFF, or a COCO .json")
        super().__init__(listing, "holds no cut-out that can be used", cache)

    _decode = staticmethod(decode_rgba)

    def cutout(self, index: int, longest: int) -> torch.Tensor:
        """Return object `index` as float RGBA (4, h, w), longer side at most `longest`.

        Raises:
            MagkitError: none can be read.
        """
        return fit_longest(self.readable(index)[1], longest)
