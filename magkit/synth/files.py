"""Pictures from a folder, and objects from COCO instances."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from pycocotools.coco import COCO

from magkit.errors import MagkitError
from magkit.synth.cache import TensorCache
from magkit.synth.sources import fit_longest

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
MIN_SIDE = 64  # pixels: a smaller picture is no background
MIN_AREA = 400  # square pixels: a smaller object is a smear


def read_rgb(path: Path) -> torch.Tensor:
    """Read a picture of any mode, turned upright by its EXIF tag, as uint8 (3, h, w).

    Raises:
        MagkitError: the file is no picture, or a broken one.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if image.mode.startswith("I"):  # 16-bit greyscale: convert() would clip it at 255
                scaled = np.asarray(upright, np.float32) / 257
                upright = Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))
            pixels = np.asarray(upright.convert("RGB"))
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise MagkitError(f"{path} is not a picture that can be read: {error}") from error
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous()


class FolderPictures:
    """All pictures of a folder and its sub-folders that are at least 64 pixels wide and high."""

    def __init__(self, root: Path, cache: TensorCache | None = None) -> None:
        if not root.is_dir():
            raise MagkitError(f"There is no folder {root}.", hint="--images takes a folder.")
        self.paths = [p for p in sorted(root.rglob("*")) if _is_usable(p)]
        if not self.paths:
            raise MagkitError(f"{root} holds no usable picture.", hint="JPEG, PNG, WebP, TIFF, BMP")
        self._cache = cache or TensorCache()

    def __len__(self) -> int:
        return len(self.paths)

    def picture(self, index: int) -> torch.Tensor:
        """Return picture `index` as uint8 RGB (3, h, w)."""
        path = self.paths[index]
        return self._cache.get(str(path), lambda: read_rgb(path))


def _is_usable(path: Path) -> bool:
    if path.suffix.lower() not in SUFFIXES:
        return False
    try:
        with Image.open(path) as image:
            return min(image.size) >= MIN_SIDE
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError):
        return False


class CocoCutouts:
    """Objects of a COCO instances file: polygons and RLE, without crowds and tiny ones."""

    def __init__(self, annotations: Path, images: Path, cache: TensorCache | None = None) -> None:
        self._coco = _load_coco(annotations)
        self._images = images
        self._cache = cache or TensorCache()
        self.instances = [a for a in self._coco.anns.values() if self._is_usable(a)]
        if not self.instances:
            raise MagkitError(f"{annotations} names no object whose picture lies in {images}.")

    def __len__(self) -> int:
        return len(self.instances)

    def cutout(self, index: int, longest: int) -> torch.Tensor:
        """Return object `index` as float RGBA (4, h, w), longer side at most `longest`."""
        full = self._cache.get(("coco", index), lambda: self._full(index))
        return self._cache.get(("coco", index, longest), lambda: fit_longest(full, longest))

    def _full(self, index: int) -> torch.Tensor:
        instance = self.instances[index]
        info = self._coco.imgs[instance["image_id"]]
        pixels = read_rgb(self._images / Path(info["file_name"]).name)
        alpha = torch.from_numpy(self._coco.annToMask(instance) * np.uint8(255))[None]
        x, y, width, height = (int(v) for v in instance["bbox"])
        window = (slice(max(y - 1, 0), y + height + 2), slice(max(x - 1, 0), x + width + 2))
        return torch.cat([pixels[:, *window], alpha[:, *window]]).contiguous()

    def _is_usable(self, instance: dict[str, Any]) -> bool:
        if instance.get("iscrowd") or instance.get("area", 0) < MIN_AREA:
            return False
        info = self._coco.imgs.get(instance.get("image_id"))
        if info is None or not (self._images / Path(info["file_name"]).name).is_file():
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
    except (OSError, json.JSONDecodeError, AssertionError, KeyError, TypeError) as error:
        raise MagkitError(f"{path} is not a COCO instances file: {error}") from error
    return coco
