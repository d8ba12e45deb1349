"""The masks of a frame's objects, whether one file shows all of them or each has its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from magkit.errors import MagkitError
from magkit.invert.davis import ClipFrame
from magkit.invert.mask_files import labels_in, mask_size, read_labels


def frame_size(frame: ClipFrame) -> tuple[int, int]:
    """Return the height and width of a frame's masks in pixels, without decoding them.

    Raises:
        MagkitError: a file can't be read, or they differ in size.
    """
    first = mask_size(frame.mask)
    for path in frame.files[1:]:
        there = mask_size(path)
        if there != first:
            shown, other = (f"{size[1]}x{size[0]}" for size in (there, first))
            raise MagkitError(f"{path} is {shown}, but {frame.mask} of the same frame is {other}")
    return first


def frame_labels(frame: ClipFrame) -> list[int]:
    """Return the labels of the objects that are seen in a frame, ascending.

    Raises:
        MagkitError: a file can't be read.
    """
    if not frame.objects:
        return labels_in(frame.mask)
    return [label for label, path in frame.objects if labels_in(path)]


def frame_masks(frame: ClipFrame, objects: Sequence[int]) -> NDArray[np.bool_]:
    """Return the masks (K, H, W) of the objects with these labels; one is empty if it isn't seen.

    Files of single objects show theirs wherever they aren't 0, and may overlap.

    Raises:
        MagkitError: a file can't be read, or they differ in size.
    """
    if not frame.objects:
        wanted = np.array(objects, np.uint8)[:, None, None]
        found: NDArray[np.bool_] = wanted == read_labels(frame.mask)
        return found
    masks, files = np.zeros((len(objects), *frame_size(frame)), np.bool_), dict(frame.objects)
    for mask, label in zip(masks, objects, strict=True):
        if label in files:
            mask[:] = read_labels(files[label]) > 0
    return masks
