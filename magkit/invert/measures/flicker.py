"""How much a clip's background changes from frame to frame."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor


def flicker(frames_T3HW: Tensor, objects_THW: Tensor) -> float:
    """Return the mean absolute change between neighbouring frames in the background, in [0, 1].

    The mean is over all pairs, channels and pixels that belong to no object in either frame; NaN
    where there is none. A frozen clip has 0, whatever it shows, and so does a plain ground: the
    figure means something only beside a frozen clip's and beside agreement. Motion of the camera
    counts as flicker.

    Args:
        frames_T3HW: RGB in [0, 1].
        objects_THW: bool, true where there is an object.
    """
    total, count = 0.0, 0
    pairs = zip(pairwise(frames_T3HW), pairwise(objects_THW), strict=True)
    for (before, after), (object_before, object_after) in pairs:
        ground = ~(object_before | object_after)
        change = (after - before)[:, ground].double().abs()
        total += change.sum().item()
        count += change.numel()
    return total / count if count else float("nan")
