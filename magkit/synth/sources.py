"""Sources of pixels for scenes: pictures for backgrounds, cut-outs for objects, and their cache."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch.nn import functional as F

from magkit.runtime.device import trim_memory

# Sizes of objects come from this geometric grid, so that those of a batch are alike.
SIZE_STEP = 2**0.25

MIN_AREA = 400
"""Square pixels that an object covers at least."""


class Pictures(Protocol):
    """Numbered pictures."""

    def __len__(self) -> int: ...

    def picture(self, index: int) -> torch.Tensor:
        """Return picture `index` as uint8 RGB (3, h, w), which nobody changes."""
        ...

    def name(self, index: int) -> str:
        """Return where picture `index` comes from."""
        ...

    def prepare(self, indices: Iterable[int]) -> None:
        """Begin to read what these pictures are made of, where reading takes long."""
        ...

    @property
    def unreadable(self) -> Collection[str]:
        """Return the files that were found broken so far and replaced by others."""
        ...

    def describe(self) -> list[dict[str, Any]]:
        """Return a JSON object for each part: its kind, location, count and hash."""
        ...


class Cutouts(Protocol):
    """Numbered objects with a soft mask."""

    def __len__(self) -> int: ...

    def cutout(self, index: int, longest: int) -> torch.Tensor:
        """Return object `index` as float RGBA (4, h, w) in [0, 1], max(h, w) <= `longest`.

        Colours are not multiplied by alpha.
        """
        ...

    def name(self, index: int) -> str:
        """Return where object `index` comes from."""
        ...

    def prepare(self, indices: Iterable[int]) -> None:
        """Begin to read what these objects are made of, where reading takes long."""
        ...

    @property
    def unreadable(self) -> Collection[str]:
        """Return the files that were found broken so far and replaced by others."""
        ...

    def describe(self) -> list[dict[str, Any]]:
        """Return a JSON object for each part: its kind, location, count and hash."""
        ...


def snap_size(size: float) -> int:
    """Round a size in pixels to the nearest one of the geometric grid."""
    return round(SIZE_STEP ** round(math.log(size, SIZE_STEP)))


def resize(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Resize float (C, h, w) with an anti-aliased bicubic kernel; values stay in [0, 1]."""
    size = (max(height, 1), max(width, 1))
    out = F.interpolate(image[None], size, mode="bicubic", antialias=True, align_corners=False)
    return out[0].clamp(0, 1)


def fit_longest(image: torch.Tensor, longest: int) -> torch.Tensor:
    """Shrink uint8 (4, h, w) to float whose longer side is at most `longest` pixels."""
    height, width = image.shape[-2:]
    scale = min(longest / max(height, width), 1.0)
    return resize(image.float() / 255, round(height * scale), round(width * scale))


S = TypeVar("S", Pictures, Cutouts)


class _Joined(Generic[S]):
    """Several sources, their items counted through in the order of the parts."""

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


class JoinedPictures(_Joined[Pictures]):
    """Several sources of pictures as one."""

    def picture(self, index: int) -> torch.Tensor:
        """Return picture `index` as uint8 (3, h, w)."""
        part, number = self.locate(index)
        return part.picture(number)


class JoinedCutouts(_Joined[Cutouts]):
    """Several sources of objects as one."""

    def cutout(self, index: int, longest: int) -> torch.Tensor:
        """Return object `index` as float RGBA (4, h, w)."""
        part, number = self.locate(index)
        return part.cutout(number, longest)


TIDY = 16 << 20  # bytes taken in, after which what was freed meanwhile is given back


class TensorCache:
    """Keeps the tensors used last, at most `capacity` bytes of them.

    A process has two, of pictures and of objects: with torch itself, which takes 0.7 GB, it stays
    below 1.5 GB.
    """

    def __init__(self, capacity: int = 160 << 20) -> None:
        self.capacity = capacity
        self.size = 0
        self._taken = 0
        self._items: OrderedDict[Hashable, torch.Tensor] = OrderedDict()

    def __getstate__(self) -> int:
        # Another process fills a memo of its own: what is held here would only be copied to it.
        return self.capacity

    def __setstate__(self, capacity: int) -> None:
        TensorCache.__init__(self, capacity)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._items

    def get(self, key: Hashable, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return the tensor under `key`, made by `make()` where it isn't held."""
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
        if self._taken > TIDY:
            self._taken = 0
            trim_memory()
        return item
