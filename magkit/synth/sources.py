"""Sources of pixels for scenes: pictures for backgrounds, cut-outs for objects, and their cache."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch.nn import functional as F

from magkit.runtime.device import trim_memory

# Objects have sizes of a geometric grid, so that a batch has groups of one size.
SIZE_STEP = 2**0.25

MIN_AREA = 400
"""Smallest area of an object, square pixels."""


class Source(Protocol):
    """Numbered items."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """Return where item `index` comes from."""
        ...

    def prepare(self, indices: Iterable[int]) -> None:
        """Begin to read these items, if that takes long."""
        ...

    @property
    def unreadable(self) -> Collection[str]:
        """Return the broken files that were replaced so far."""
        ...

    def describe(self) -> list[dict[str, Any]]:
        """Return a JSON object for each part: its kind, location, count and hash."""
        ...


class Pictures(Source, Protocol):
    """Numbered pictures."""

    def picture(self, index: int) -> torch.Tensor:
        """Return picture `index` as uint8 RGB (3, h, w), not to be modified."""
        ...


class Cutouts(Source, Protocol):
    """Numbered objects with a soft mask."""

    def cutout(self, index: int, longest: int) -> torch.Tensor:
        """Return object `index` as float RGBA (4, h, w) in [0, 1], max(h, w) <= `longest`.

        Colours are not multiplied by alpha.
        """
        ...


def snap_size(size: float) -> int:
    """Round a size in pixels to the nearest one of the geometric grid."""
    return round(SIZE_STEP ** round(math.log(size, SIZE_STEP)))


def resize(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize float (C, h, w) with an anti-aliased bicubic kernel; values stay in [0, 1]."""
    size = (max(height, 1), max(width, 1))
    out = F.interpolate(image[None], size, mode="bicubic", antialias=True, align_corners=False)
    return out[0].clamp(0, 1)


def cover(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return the middle of float (C, h, w), scaled to cover a height and width."""
    scale = max(height / image.shape[1], width / image.shape[2])
    tall, wide = (round(side * scale) for side in image.shape[1:])
    scaled = resize(image, max(tall, height), max(wide, width))
    top, left = (scaled.shape[1] - height) // 2, (scaled.shape[2] - width) // 2
    return scaled[:, top : top + height, left : left + width]


def fit_longest(image: torch.Tensor, longest: int) -> torch.Tensor:
    """Shrink uint8 (4, h, w) to float whose longer side is at most `longest` pixels."""
    height, width = image.shape[-2:]
    scale = min(longest / max(height, width), 1.0)
    return resize(image.float() / 255, round(height * scale), round(width * scale))


S = TypeVar("S", Pictures, Cutouts)


class _Concat(Generic[S]):
    """Concatenated sources, as torch's ConcatDataset."""

    def __init__(self, *parts: S) -> None:
        self.parts: tuple[S, ...] = parts

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def name(self, index: int) -> str:
        """Return where item `index` comes from."""
        part, number = self.locate(index)
        return part.name(number)

    def prepare(self, indices: Iterable[int]) -> None:
        """Begin to read items, in all parts."""
        located = [self.locate(index) for index in indices]
        for part in self.parts:
            part.prepare(number for home, number in located if home is part)

    @property
    def unreadable(self) -> set[str]:
        """Return the parts' broken files."""
        return {path for part in self.parts for path in part.unreadable}

    def describe(self) -> list[dict[str, Any]]:
        """Return the parts' descriptions in their order."""
        return [described for part in self.parts for described in part.describe()]

    def locate(self, index: int) -> tuple[S, int]:
        """Return the part that holds item `index`, and its number there."""
        for part in self.parts:
            if index < len(part):
                return part, index
            index -= len(part)
        raise IndexError(index)


class ConcatPictures(_Concat[Pictures]):
    """Several sources of pictures as one."""

    def picture(self, index: int) -> torch.Tensor:
        """Return picture `index` as uint8 (3, h, w)."""
        part, number = self.locate(index)
        return part.picture(number)


class ConcatCutouts(_Concat[Cutouts]):
    """Several sources of objects as one."""

    def cutout(self, index: int, longest: int) -> torch.Tensor:
        """Return object `index` as float RGBA (4, h, w)."""
        part, number = self.locate(index)
        return part.cutout(number, longest)


TRIM_BYTES = 16 << 20  # added bytes after which freed memory is returned to the system


class TensorCache:
    """A least-recently-used cache of at most `capacity` bytes.

    A process with two of them, and torch's 0.7 GB, stays below 1.5 GB.
    """

    def __init__(self, capacity: int = 160 << 20) -> None:
        self.capacity = capacity
        self.size = 0
        self._taken = 0
        self._items: OrderedDict[Hashable, torch.Tensor] = OrderedDict()

    def __getstate__(self) -> int:
        return self.capacity

    def __setstate__(self, capacity: int) -> None:
        TensorCache.__init__(self, capacity)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._items

    def get(self, key: Hashable, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return the tensor of `key`, made by `make()` if it isn't cached."""
        if key in self._items:
            self._items.move_to_end(key)
            return self._items[key]
        item = make()
        self._items[key] = item
        self.size += item.nbytes
        while self.size > self.capacity and len(self._items) > 1:
            _, dropped = self._items.popitem(last=False)
            self.size -= dropped.nbytes
        self._taken += item.nbytes
        if self._taken > TRIM_BYTES:
            self._taken = 0
            trim_memory()
        return item
