"""Toy images, labels, scenes and an encoder for the checks."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magkit.protocols import Annotation, Labels, Target
from magkit.runtime.seeds import generator
from magkit.selfsup.frame_source import SINGLE, to_floats, to_uint8
from magkit.specs import MapInfo
from magkit.synth.triplets import Triplets

Size = tuple[int, int]
Build = Callable[[], Target[Any]]
PATCHES = 6  # a side of a picture
GRAIN = 0.2  # of noise over the patches


def toy_images(count: int, size: Size, seed: int = 0) -> Tensor:
    """Return images (N, 3, H, W) in [0, 1]: smooth patches of colour, with noise."""
    draw = generator(seed, *size)
    patches = torch.rand(count, 3, PATCHES, PATCHES, generator=draw)
    smooth = F.interpolate(patches, size, mode="bilinear", align_corners=False)
    return (smooth + GRAIN * (torch.rand(count, 3, *size, generator=draw) - 0.5)).clamp(0, 1)


def toy_annotations(labels: Sequence[str], size: Size) -> list[list[Annotation]]:
    """Return one object for each image: rectangles, wide and tall in turn."""
    masks = [rectangle(size, lying=number % 2 == 0) for number in range(len(labels))]
    return [[Annotation(label, mask)] for label, mask in zip(labels, masks, strict=True)]


def rectangle(size: Size, *, lying: bool) -> Tensor:
    """Return the mask (H, W) of a rectangle at even coordinates, left of and above the centre."""
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
class Transform:
    """A geometric transform of two images, as affine maps and as functions of masks.

    Attributes:
        how: a description, for messages.
        size: height and width of the output.
        maps_N23: as `magkit.protocols.Labels.moved` takes them.
        masks: a function of each image's masks (H, W), without resampling.
    """

    how: str
    size: Size
    maps_N23: Tensor
    masks: Sequence[Callable[[Tensor], Tensor]]

    def transformed(self, asked: Sequence[Sequence[Annotation]]) -> list[list[Annotation]]:
        """Return annotations with their masks transformed."""
        return [
            [
                replace(each, mask_HW=move(each.mask_HW))
                for each in picture
                if each.mask_HW is not None
            ]
            for picture, move in zip(asked, self.masks, strict=True)
        ]


def _identity(size: Size) -> Transform:
    """Leave both images as they are."""
    same = torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    return Transform("not moved at all", size, torch.stack([same, same]), [torch.clone] * 2)


def _flip_and_shift(size: Size) -> Transform:
    """Mirror the first image left to right, and shift the second."""
    down, right = -(size[0] // 8), size[1] // 8
    mirror = torch.tensor([[-1.0, 0, size[1]], [0, 1, 0]])
    shift = torch.tensor([[1.0, 0, -right], [0, 1, -down]])
    return Transform(
        f"mirrored, and shifted by {right} and {down} pixels,",
        size,
        torch.stack([mirror, shift]),
        [lambda mask: mask.flip(1), lambda mask: mask.roll((down, right), (0, 1))],
    )


def _downscale(size: Size) -> Transform:
    """Halve the size of both images."""
    half = torch.tensor([[2.0, 0, 0], [0, 2, 0]])
    small = (size[0] // 2, size[1] // 2)
    return Transform("made half as large", small, torch.stack([half, half]), [_every_other] * 2)


def _every_other(mask: Tensor) -> Tensor:
    return mask[::2, ::2].contiguous()


TRANSFORMS = (_identity, _flip_and_shift, _downscale)


def two_classes(target: Target[Any]) -> list[str]:
    """Return the first class and the last."""
    return [target.classes[0], target.classes[-1]]


def toy_labels(target: Target[Any], size: Size) -> Labels:
    """Return the target's labels of two images with one object each."""
    found: Labels = target.labels(toy_annotations(two_classes(target), size))
    return found


WAVES = 3
MOST = 3  # waves across a picture, along each side: none is mistaken for its neighbour
CONTRAST = 0.45


def sinusoids(size: int, places_N2: Tensor, seed: int = 0) -> Tensor:
    """Return a periodic scene displaced by (x, y) pixels, frames (N, 3, S, S) in [0, 1].

    Args:
        size: S, the side.
        places_N2: the displacements.
        seed: of the scene.
    """
    draw = generator(seed)
    counts_K2 = torch.randint(-MOST, MOST + 1, (WAVES, 2), generator=draw).double()
    counts_K2[:2] = torch.tensor([[3.0, 1.0], [-1.0, 3.0]])  # something to see in all directions
    phases_3K = torch.rand(3, WAVES, generator=draw, dtype=torch.float64)
    along = torch.arange(size, dtype=torch.float64) + 0.5
    y, x = torch.meshgrid(along, along, indexing="ij")
    places_NHW2 = torch.stack([x, y], -1) - places_N2.double()[:, None, None]
    turns_NHWK = places_NHW2 @ counts_K2.T / size
    angles = 2 * math.pi * (turns_NHWK[:, None] + phases_3K[:, None, None])
    return (0.5 + CONTRAST * angles.sin().mean(-1)).float()


def toy_triplets(size: int, factors_N: Tensor, *, told: bool) -> Triplets:
    """Return training triplets of scenes that move as a whole by half a pixel.

    Args:
        size: the side of the frames.
        factors_N: the magnification factors.
        told: whether the motion is known; else it is NaN, as in published data sets.
    """
    count = len(factors_N)
    motion_N2 = torch.tensor([[0.5, -0.25]]).repeat(count, 1)
    parts = [
        torch.cat([sinusoids(size, part[n : n + 1], seed=n) for n in range(count)])
        for part in (0 * motion_N2, motion_N2, motion_N2 * factors_N[:, None])
    ]
    field = motion_N2[:, :, None, None].expand(count, 2, size, size)
    moving = torch.ones(count, 1, size, size)
    unknown = 0.0 if told else math.nan
    return Triplets(
        a=parts[0],
        b=parts[1],
        c=parts[1],
        m=parts[2],
        factor=factors_N,
        motion=field + unknown,
        moving=moving + unknown,
    )


TOY_PATCHES = 5  # a side of a picture
CHANNELS, STRIDE = 16, 4


class ToyFrames:
    """Images of 5 x 5 blended colours, as a `FrameSource`.

    Args:
        count: the number of images, generated on demand.
        size: their side in pixels.
    """

    roles = SINGLE
    unreadable: Collection[str] = ()

    def __init__(self, count: int, size: int) -> None:
        self._count, self._size = count, size

    def __len__(self) -> int:
        return self._count

    def __str__(self) -> str:
        return f"{self._count} pictures of patches"

    def frames(self, indices: Sequence[int], role: str) -> Tensor:
        """Return frames (N, 3, S, S); see `FrameSource`."""
        del role
        rows = [torch.rand(3, TOY_PATCHES, TOY_PATCHES, generator=generator(0, i)) for i in indices]
        size = (self._size, self._size)
        smooth = F.interpolate(torch.stack(rows), size, mode="bilinear", align_corners=False)
        return to_floats(list(to_uint8(smooth)))

    def describe(self) -> dict[str, Any]:
        """Return the parameters that determine the images."""
        return {"patches": TOY_PATCHES, "count": self._count, "size": self._size}


class ToyEncoder(nn.Module):
    """Frames (N, 3, H, W) to the maps (N, 16, H/4, W/4) of each branch.

    It has batch normalisation, whose running statistics are state and whose batch statistics could
    leak which key belongs to a query.
    """

    def __init__(self, branches: Sequence[str]) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, CHANNELS, STRIDE, STRIDE, bias=False),
            nn.BatchNorm2d(CHANNELS),
            nn.ReLU(),
        )
        self.branches = nn.ModuleDict(
            {branch: nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False) for branch in branches}
        )

    def forward(self, frames_NCHW: Tensor) -> dict[str, Tensor]:
        """Encode frames in [0, 1]."""
        trunk = self.trunk(frames_NCHW)
        return {name: branch(trunk) for name, branch in self.branches.items()}


MAPS = MapInfo(channels=CHANNELS, stride=STRIDE, centre=STRIDE / 2)
"""The feature maps of `ToyEncoder`."""
