"""What is asked for in pictures: classes alone, or classes and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from magkit import Annotation, MagkitError, UsageError
from magkit_vision.looking import moved

ANY = -1  # in place of a class's number: whichever the network takes it for


@dataclass(frozen=True, slots=True)
class ClassLabels:
    """Numbers of the classes that each picture is to show, one or more."""

    numbers: Sequence[Sequence[int]]

    def moved(self, _maps_N23: Tensor, _size: tuple[int, int], /) -> ClassLabels:
        """Return itself: a class stays where the picture goes."""
        return self


@dataclass(frozen=True, slots=True)
class MaskLabels:
    """Where things are, and which.

    Attributes:
        masks_NKHW: floats, 0 or 1; K is the greatest number of things in a picture.
        numbers_NK: of classes; ANY; 0 where a picture has fewer things.
    """

    masks_NKHW: Tensor
    numbers_NK: Tensor

    def moved(self, source_from_output_N23: Tensor, size: tuple[int, int], /) -> MaskLabels:
        """Return the labels of pictures that were resampled; see `magkit.Labels`."""
        masks = moved(self.masks_NKHW, source_from_output_N23, size)
        return MaskLabels(masks, self.numbers_NK)


def class_labels(
    annotations: Sequence[Sequence[Annotation]], names: Sequence[str], *, first: int
) -> ClassLabels:
    """Return what is asked for, wherever it is; `names[first:]` are the classes.

    Raises:
        MagkitError: nothing is asked for in a picture, or a class is unknown.
    """
    if not all(annotations):
        raise MagkitError("a classifier needs a class for every picture")
    return ClassLabels([_numbers(picture, names, first) for picture in annotations])


def mask_labels(
    annotations: Sequence[Sequence[Annotation]], names: Sequence[str], device: torch.device
) -> MaskLabels:
    """Return what is asked for and where; `names[0]` is the background.

    Raises:
        MagkitError: nothing is asked for, a mask is missing, or a class is unknown.
    """
    masks = [each.mask_HW for picture in annotations for each in picture]
    sizes = {tuple(mask.shape) for mask in masks if mask is not None}
    if len(sizes) != 1 or any(mask is None for mask in masks):
        raise MagkitError("the target needs the masks of objects, all of one size")
    most = max(map(len, annotations))
    found = torch.zeros(len(annotations), most, *sizes.pop(), device=device)
    numbers = torch.zeros(len(annotations), most, dtype=torch.int64, device=device)
    for n, picture in enumerate(annotations):
        for k, number in enumerate(_numbers(picture, names, 1)):
            mask = picture[k].mask_HW
            assert mask is not None
            found[n, k], numbers[n, k] = mask, number
    return MaskLabels((found >= 0.5).to(found), numbers)


def _numbers(picture: Sequence[Annotation], names: Sequence[str], first: int) -> list[int]:
    known = {name: number for number, name in enumerate(names) if number >= first} | {"any": ANY}
    for each in picture:
        if each.label not in known or each.label == "N/A":
            few = ", ".join(list(known)[:20]) + (", ..." if len(known) > 20 else "")
            raise UsageError(
                f"the target knows no class '{each.label}'",
                f"known: {few}; 'any' leaves the choice to the target",
            )
    return [known[each.label] for each in picture]
