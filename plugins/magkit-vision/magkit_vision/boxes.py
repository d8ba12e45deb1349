"""Boxes of what is asked for, as torchvision's detectors take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from magkit_vision.labels import ANY, MaskLabels
from magkit_vision.looking import Look, box

SMALLEST = 2.0  # pixels: a box with a shorter side is not asked for

Asked = dict[str, Tensor]
"""The "boxes" (K, 4) and "labels" (K,) of one picture."""


class AsShown(nn.Module):
    """In place of a detector's own transform, which would resize pictures.

    Args:
        look: how they are shown.
    """

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look

    def forward(
        self, images_NCHW: Tensor, asked: Sequence[Asked] | None
    ) -> tuple[ImageList, list[Asked] | None]:
        """Return pictures as the network sees them, and the boxes there."""
        size = (images_NCHW.shape[2], images_NCHW.shape[3])
        shown, scale = self._look(images_NCHW), images_NCHW.new_tensor(self.scale(size))
        listed = ImageList(shown, [self._look.size(size)] * len(shown))
        if asked is None:
            return listed, None
        return listed, [{**each, "boxes": each["boxes"] * scale} for each in asked]

    def postprocess(self, found: list[Asked], _shown: Any, sizes: list[Any]) -> list[Asked]:
        """Return boxes in pixels of the pictures that were given."""
        for each, size in zip(found, sizes, strict=True):
            each["boxes"] = each["boxes"] / each["boxes"].new_tensor(self.scale(size))
        return found

    def scale(self, size: tuple[int, int]) -> tuple[float, ...]:
        """Return what the edges of boxes are multiplied by in pictures of a size."""
        seen = self._look.size(size)
        down, across = (a / b for a, b in zip(seen, size, strict=True))
        return across, down, across, down


def boxes_of(labels: MaskLabels) -> list[Asked]:
    """Return the boxes around masks, without those too small to be seen, or out of the picture."""
    found = []
    for masks, numbers in zip(labels.masks_NKHW, labels.numbers_NK, strict=True):
        boxes = torch.stack([box(mask) for mask in masks])
        seen = ((boxes[:, 2:] - boxes[:, :2]).amin(1) >= SMALLEST) & (numbers != 0)
        found.append({"boxes": boxes[seen], "labels": numbers[seen]})
    return found


def likeliest(asked: Asked, scores_AC: Tensor, anchors_A4: Tensor, unnamed: Sequence[int]) -> Asked:
    """Return what is asked for with a class wherever any will do.

    It is the class that an anchor in the box is surest of, in so far as it has a name.

    Args:
        asked: of a picture.
        scores_AC: of its anchors and the classes, in [0, 1].
        anchors_A4: their edges.
        unnamed: the numbers of classes that don't count.
    """
    numbers, middles = asked["labels"].clone(), (anchors_A4[:, :2] + anchors_A4[:, 2:]) / 2
    scores_AC = scores_AC.clone()
    scores_AC[:, unnamed] = -1
    for k in (numbers == ANY).nonzero()[:, 0]:
        low, high = asked["boxes"][k, :2], asked["boxes"][k, 2:]
        inside = ((middles >= low) & (middles <= high)).all(1)
        if not inside.any():  # smaller than the cells of all maps
            inside |= True
        numbers[k] = scores_AC[inside].amax(0).argmax()
    return {**asked, "labels": numbers}


def filled(box_4: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the mask (H, W) of the pixels whose middles are in a box."""
    rows, columns = (
        torch.arange(side, device=box_4.device, dtype=box_4.dtype) + 0.5 for side in size
    )
    left, top, right, bottom = box_4
    down, across = (rows >= top) & (rows < bottom), (columns >= left) & (columns < right)
    mask: Tensor = down[:, None] & across
    return mask.float()
