"""Pictures from a folder, and objects from COCO instances."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from pycocotools.coco import COCO

from magkit.errors import MagkitError
from magkit.synth.cache import TensorCache
from magkit.synth.sources import fit_longest
from magkit.video.pictures import to_rgb

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
MIN_SIDE = 64  # pixels: a smaller picture is no background
MIN_AREA = 400  # square pixels: a smaller object is a smear
# What Pillow raises over files that are damaged, cut off, huge, or something else.
DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error),
    Image.DecompressionBombError,
)

T = TypeVar("T")


def read_rgb(path: Path) -> torch.Tensor:
    """Read a picture of any mode, turned upright by its EXIF tag, as uint8 (3, h, w).

    Raises:
        MagkitError: the file is no picture, or a broken one.
    """
    try:
        with Image.open(path) as image:
            pixels = to_rgb(image)
    except MagkitError as error:
        raise MagkitError(f"{path}: {error.message}", error.hint) from error
    except DAMAGE as error:
        raise MagkitError(f"{path} is not a picture that can be read: {error}") from error
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


class FolderPictures:
    """All pictures of a folder and its sub-folders that are at least 64 pixels wide and high.

    Headers are looked at first, pixels when they are needed: a picture that turns out broken then
    is replaced by the next one that isn't, and listed in `unreadable`. What index gives what
    picture depends on the folder alone.
    """

    def __init__(self, root: Path, cache: TensorCache | None = None) -> None:
        if not root.is_dir():
            raise MagkitError(f"There is no folder {root}.", hint="--images takes a folder.")
        self.root = root
        self.paths = [p for p in sorted(root.rglob("*")) if _is_usable(p)]
        if not self.paths:
            raise MagkitError(f"{root} holds no usable picture.", hint="JPEG, PNG, WebP, TIFF, BMP")
        self.unreadable: set[Path] = set()
        self._cache = cache or TensorCache()

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, index: int) -> torch.Tensor:
        """Return picture `index`, or the first after it that can be read, as uint8 (3, h, w).

        Raises:
            MagkitError: none can be read.
        """
        return self._readable(index)[1]

    def name(self, index: int) -> str:
        """Return the path of what `picture(index)` returns, from the folder on."""
        return self._readable(index)[0].relative_to(self.root).as_posix()

    def _readable(self, index: int) -> tuple[Path, torch.Tensor]:
        for path in _from(self.paths, index):
            if path not in self.unreadable:
                try:
                    return path, self._cache.get(str(path), partial(read_rgb, path))
                except MagkitError:
                    self.unreadable.add(path)
        raise MagkitError(f"{self.root} holds no picture that can be read.")


def _is_usable(path: Path) -> bool:
    if path.suffix.lower() not in SUFFIXES:
        return False
    try:
        with Image.open(path) as image:
            return min(image.size) >= MIN_SIDE
    except DAMAGE:
        return False


def _from(items: Sequence[T], index: int) -> Iterator[T]:
    """Yield all items once, item `index` first."""
    return (items[(index + step) % len(items)] for step in range(len(items)))


class CocoCutouts:
    """Objects of a COCO instances file: polygons and RLE, without crowds and tiny ones.

    An object whose picture or mask turns out broken is replaced by the next one, and its picture
    listed in `unreadable`.
    """

    def __init__(self, annotations: Path, images: Path, cache: TensorCache | None = None) -> None:
        self._coco = _load_coco(annotations)
        self._images = images
        self._cache = cache or TensorCache()
        self.unreadable: set[Path] = set()
        self._broken: set[int] = set()
        self.instances = [a for a in self._coco.anns.values() if self._is_usable(a)]
        if not self.instances:
            raise MagkitError(f"{annotations} names no object whose picture lies in {images}.")

    def __len__(self) -> int:
        return len(self.instances)

    def cutout(self, index: int, longest: int) -> torch.Tensor:
        """Return object `index` as float RGBA (4, h, w), longer side at most `longest`.

        Raises:
            MagkitError: no object can be cut out.
        """
        number, full = self._readable(index)
        return self._cache.get(("coco", number, longest), lambda: fit_longest(full, longest))

    def name(self, index: int) -> str:
        """Return the picture's name and the annotation's number of what `cutout(index)` returns."""
        instance = self.instances[self._readable(index)[0]]
        return f"{self._path(instance).name}#{instance['id']}"

    def _readable(self, index: int) -> tuple[int, torch.Tensor]:
        for number in _from(range(len(self.instances)), index):
            if number not in self._broken:
                try:
                    return number, self._cache.get(("coco", number), partial(self._full, number))
                except MagkitError:
                    self._broken.add(number)
                    self.unreadable.add(self._path(self.instances[number]))
        raise MagkitError(f"no object of {self._images} can be cut out of its picture.")

    def _path(self, instance: dict[str, Any]) -> Path:
        return self._images / Path(self._coco.imgs[instance["image_id"]]["file_name"]).name

    def _full(self, index: int) -> torch.Tensor:
        instance = self.instances[index]
        path = self._path(instance)
        pixels, mask = read_rgb(path), self._mask(instance)
        if pixels.shape[1:] != mask.shape:
            raise MagkitError(f"{path} has another size than its annotations.")
        alpha = torch.from_numpy(mask * np.uint8(255))[None]
        x, y, width, height = (int(v) for v in instance["bbox"])
        window = (slice(max(y - 1, 0), y + height + 2), slice(max(x - 1, 0), x + width + 2))
        return torch.cat([pixels[:, *window], alpha[:, *window]]).contiguous()

    def _mask(self, instance: dict[str, Any]) -> npt.NDArray[np.uint8]:
        try:
            return np.asarray(self._coco.annToMask(instance), np.uint8)
        except Exception as error:  # the decoder is written in C and raises what comes its way
            raise MagkitError(f"annotation {instance['id']} has no mask: {error}") from error

    def _is_usable(self, instance: dict[str, Any]) -> bool:
        if instance.get("iscrowd") or instance.get("area", 0) < MIN_AREA:
            return False
        info = self._coco.imgs.get(instance.get("image_id"), {})
        if not {"file_name", "width", "height"} <= info.keys() or "bbox" not in instance:
            return False
        if not instance.get("segmentation") or not self._path(instance).is_file():
            return False
        x, y, width, height = instance["bbox"]
        # An object cut by the border has a straight false edge.
        return bool(
            x > 1 and y > 1 and x + width < info["width"] - 1 and y + height < info["height"] - 1
        )


def _load_coco(path: Path) -> COCO:
    """Index an instances file; pycocotools prints as it works, which is kept off the terminal."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(str(path))
    except (OSError, ValueError, AssertionError, KeyError, TypeError, AttributeError) as error:
        raise MagkitError(f"{path} is not a COCO instances file: {error}") from error
    return coco
