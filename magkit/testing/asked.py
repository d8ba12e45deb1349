"""What a target is shown and asked for, and how both are moved by an independent rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from magkit.protocols import Annotation, Labels, Target
from magkit.runtime.seeds import generator

Size = tuple[int, int]
Build = Callable[[], Target[Any]]
PATCHES = 6  # a side of a picture
GRAIN = 0.2  # of noise over the patches


def pictures(count: int, size: Size, seed: int = 0) -> Tensor:
    """Return pictures (N, 3, H, W) in [0, 1]: soft patches of colour, and grain."""
    draw = generator(seed, *size)
    patches = torch.rand(count, 3, PATCHES, PATCHES, generator=draw)
    smooth = F.interpolate(patches, size, mode="bilinear", align_corners=False)
    return (smooth + GRAIN * (torch.rand(count, 3, *size, generator=draw) - 0.5)).clamp(0, 1)


def objects(labels: Sequence[str], size: Size) -> list[list[Annotation]]:
    """Return one object for each picture: every other one lies, every other one stands."""
    masks = [rectangle(size, lying=number % 2 == 0) for number in range(len(labels))]
    return [[Annotation(label, mask)] for label, mask in zip(labels, masks, strict=True)]


def rectangle(size: Size, *, lying: bool) -> Tensor:
    """Return a mask (H, W) of a rectangle left of and above the middle; its edges are even."""
    mask = torch.zeros(size)
    height, width = (
        slice(_even(side / 4), _even(side * (0.5 if short else 0.75)))
        for side, short in zip(size, (lying, not lying), strict=True)
    )
    mask[height, width] = 1
    return mask


def _even(place: float) -> int:
    return 2 * round(place / 2)


@dataclass(frozen=True, slots=True)
class Moves:
    """How two pictures are moved, told as maps and done to masks.

    Attributes:
        how: what was done, for a sentence.
        size: height and width of what comes out.
        maps_N23: as `magkit.protocols.Labels` are given them.
        masks: what each mask (H, W) becomes, by another rule than resampling.
    """

    how: str
    size: Size
    maps_N23: Tensor
    masks: Sequence[Callable[[Tensor], Tensor]]

    def masks_moved(self, asked: Sequence[Sequence[Annotation]]) -> list[list[Annotation]]:
        """Return what is asked for, its masks moved."""
        return [
            [
                replace(each, mask_HW=move(each.mask_HW))
                for each in picture
                if each.mask_HW is not None
            ]
            for picture, move in zip(asked, self.masks, strict=True)
        ]


def not_at_all(size: Size) -> Moves:
    """Leave both pictures as they are."""
    same = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    return Moves("not moved at all", size, torch.stack([same, same]), [torch.clone] * 2)


def mirrored_and_shifted(size: Size) -> Moves:
    """Mirror the first picture left to right, and shift the second."""
    down, right = -(size[0] // 8), size[1] // 8
    mirror = torch.tensor([[-1.0, 0, size[1]], [0, 1, 0]])
    shift = torch.tensor([[1.0, 0, -right], [0, 1, -down]])
    return Moves(
        f"mirrored, and shifted by {right} and {down} pixels,",
        size,
        torch.stack([mirror, shift]),
        [lambda mask: mask.flip(1), lambda mask: mask.roll((down, right), (0, 1))],
    )


def halved(size: Size) -> Moves:
    """Make both pictures half as large."""
    half = torch.tensor([[2.0, 0, 0], [0, 2, 0]])
    small = (size[0] // 2, size[1] // 2)
    return Moves("made half as large", small, torch.stack([half, half]), [_every_other] * 2)


def _every_other(mask: Tensor) -> Tensor:
    return mask[::2, ::2].contiguous()


MOVES = (not_at_all, mirrored_and_shifted, halved)


def two_classes(target: Target[Any]) -> list[str]:
    """Return the first class and the last."""
    return [target.classes[0], target.classes[-1]]


def asked(target: Target[Any], size: Size) -> Labels:
    """Return labels of two pictures, of an object each."""
    found: Labels = target.labels(objects(two_classes(target), size))
    return found
