"""Where scenes get their pixels from: pictures for backgrounds, cut-outs for objects.

A source is a pure function of an item's number and a size, so that a scene is one of
(sources, seed, index); what it keeps in memory is a memo and changes no result.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from torch.nn import functional as F

# Sizes come from this geometric grid: with few distinct ones, a resized item is used again.
SIZE_STEP = 2**0.25


class Pictures(Protocol):
    """Numbered pictures."""

    def __len__(self) -> int: ...

    def picture(self, index: int) -> torch.Tensor:
        """Return picture `index` as uint8 RGB (3, h, w), which nobody changes."""
        ...

    def name(self, index: int) -> str:
        """Return where picture `index` comes from."""
        ...

    @property
    def unreadable(self) -> Collection[Path]:
        """Return the files that were found broken so far and replaced by others."""
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

    @property
    def unreadable(self) -> Collection[Path]:
        """Return the files that were found broken so far and replaced by others."""
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


class JoinedPictures:
    """Several sources of pictures as one."""

    def __init__(self, *parts: Pictures) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def picture(self, index: int) -> torch.Tensor:
        """Return picture `index`, counted through the parts in their order."""
        part, number = _locate(self.parts, index)
        return part.picture(number)

    def name(self, index: int) -> str:
        """Return where item `index` comes from."""
        part, number = _locate(self.parts, index)
        return part.name(number)

    @property
    def unreadable(self) -> set[Path]:
        """Return the parts' broken files."""
        return {path for part in self.parts for path in part.unreadable}


class JoinedCutouts:
    """Several sources of objects as one."""

    def __init__(self, *parts: Cutouts) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def cutout(self, index: int, longest: int) -> torch.Tensor:
        """Return object `index`, counted through the parts in their order."""
        part, number = _locate(self.parts, index)
        return part.cutout(number, longest)

    def name(self, index: int) -> str:
        """Return where item `index` comes from."""
        part, number = _locate(self.parts, index)
        return part.name(number)

    @property
    def unreadable(self) -> set[Path]:
        """Return the parts' broken files."""
        return {path for part in self.parts for path in part.unreadable}


S = TypeVar("S", Pictures, Cutouts)


def _locate(parts: tuple[S, ...], index: int) -> tuple[S, int]:
    for part in parts:
        if index < len(part):
            return part, index
        index -= len(part)
    raise IndexError(index)
