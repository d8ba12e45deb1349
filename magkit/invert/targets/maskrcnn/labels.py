"""What a detector is to see in pictures: masks, the boxes around them, numbers of classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from magkit.invert.affine import resample

SMALLEST = 2.0  # pixels: a box with a shorter side is no longer asked for


@dataclass(frozen=True, slots=True)
class DetectionLabels:
    """Objects of all pictures, one after the other.

    Attributes:
        masks_KHW: floats, 0 or 1.
        boxes_K4: left, top, right, bottom of the masks, in pixels.
        classes_K: numbers of the model's classes; -1: whichever it thinks likeliest.
        pictures_K: which picture of the batch each object belongs to.
        count: how many pictures there are.
    """

    masks_KHW: Tensor
    boxes_K4: Tensor
    classes_K: Tensor
    pictures_K: Tensor
    count: int

    def moved(self, source_from_output_N23: Tensor, size: tuple[int, int], /) -> DetectionLabels:
        """Return the labels of pictures that were resampled; see `protocols.Labels`."""
        maps = source_from_output_N23.to(self.pictures_K.device)[self.pictures_K]
        if not len(maps):
            masks = self.masks_KHW.new_zeros(0, *size)
        else:
            masks = resample(self.masks_KHW[:, None], maps, size, padding="zeros")[:, 0]
            masks = (masks >= 0.5).to(self.masks_KHW)
        return labelled(masks, self.classes_K, self.pictures_K, self.count)


def labelled(
    masks_KHW: Tensor, classes_K: Tensor, pictures_K: Tensor, count: int
) -> DetectionLabels:
    """Return labels with the boxes of the masks, without those too small to be seen."""
    boxes = torch.stack([box(mask) for mask in masks_KHW]) if len(masks_KHW) else None
    if boxes is None:
        empty = masks_KHW.new_zeros(0, 4)
        return DetectionLabels(masks_KHW, empty, classes_K[:0], pictures_K[:0], count)
    kept = (boxes[:, 2:] - boxes[:, :2]).amin(1) >= SMALLEST
    return DetectionLabels(masks_KHW[kept], boxes[kept], classes_K[kept], pictures_K[kept], count)


def box(mask_HW: Tensor) -> Tensor:
    """Return the edges (4,) of a mask's pixels: left, top, right, bottom; zeros of an empty one."""
    rows, columns = mask_HW.amax(1).nonzero()[:, 0], mask_HW.amax(0).nonzero()[:, 0]
    if not len(rows):
        return mask_HW.new_zeros(4)
    return torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).to(mask_HW)
