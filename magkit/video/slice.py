"""A line of pixels over time, as a picture: where motion shows at one glance."""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from magkit.errors import MagkitError, UsageError

Frame = NDArray[np.uint8]


def time_slice(
    frames: Iterable[Frame], position: int, along: Literal["row", "column"] = "column"
) -> Frame:
    """Lay one row or column of every frame side by side.

    Args:
        frames: (H, W, 3) uint8 RGB, streamed: only the line of each is kept.
        position: Which row or column, in pixels from the top or left.
        along: A column shows vertical motion, a row horizontal motion.

    Returns:
        (H, T, 3) for a column, time to the right; (T, W, 3) for a row, time downwards.

    Raises:
        UsageError: The frames have no such row or column.
        MagkitError: There are no frames.
    """
    axis = 0 if along == "row" else 1
    lines = [_line(frame, position, along, axis) for frame in frames]
    if not lines:
        raise MagkitError("there are no frames to cut a slice from")
    return np.stack(lines, axis)


def _line(frame: Frame, position: int, along: str, axis: int) -> Frame:
    if not 0 <= position < frame.shape[axis]:
        raise UsageError(f"a frame has the {along}s 0 to {frame.shape[axis] - 1}, not {position}")
    return frame[position] if axis == 0 else frame[:, position]


def beside(pictures: Sequence[Frame], gap: int = 8) -> Frame:
    """Pictures of one height (H, W, 3) beside one another, `gap` white pixels between them."""
    height, _, channels = pictures[0].shape
    white = np.full((height, gap, channels), 255, np.uint8)
    parts = [part for picture in pictures for part in (white, picture)]
    return np.concatenate(parts[1:], 1)


def enlarge(picture: Frame, times: int) -> Frame:
    """A picture with every pixel `times` x `times` as large."""
    return picture.repeat(times, 0).repeat(times, 1)
