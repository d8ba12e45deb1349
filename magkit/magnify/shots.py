"""Shots: frames between cuts, each shot with its first frames known in advance."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magkit.video import Frame

THUMBNAIL = 32  # pixels: side of the pictures that are compared
SIMILAR = 0.5  # correlation below which successive frames are of different shots
CHANGED = 0.03  # mean absolute difference above which they may be; 1 is white
FLAT = 0.002  # standard deviation below which a picture shows nothing to compare


@dataclass(frozen=True, slots=True)
class ShotFrame:
    """A frame, and the first frames of its shot, itself included, if it is the shot's first."""

    frame: Frame
    opening: Sequence[Frame] | None = None


def split_shots(frames: Iterable[tuple[Frame, bool]], count: int) -> Iterator[ShotFrame]:
    """Look at the frames of a clip, `count` of them in advance.

    Args:
        frames: (H, W, 3), uint8 or uint16, and whether each begins a shot; see `marked`.
        count: the number of frames in an opening; shorter shots have fewer.
    """
    coming: deque[tuple[Frame, bool]] = deque()
    stream = iter(frames)
    while True:
        coming += [item for _, item in zip(range(count - len(coming)), stream, strict=False)]
        if not coming:
            return
        opening = _opening(coming) if coming[0][1] else None
        frame, _ = coming.popleft()
        yield ShotFrame(frame, opening)
        del frame, opening


def is_cut(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    """Tell whether two thumbnails differ as those of different shots do.

    The correlation ignores exposure: a flash, or a lamp that is switched, is no cut.
    """
    if np.abs(after - before).mean() < CHANGED:
        return False
    first, second = (x - x.mean() for x in (before, after))
    spreads = [float(np.sqrt((x**2).mean())) for x in (first, second)]
    if min(spreads) < FLAT:
        return max(spreads) >= FLAT
    return float((first * second).mean()) < SIMILAR * spreads[0] * spreads[1]


def thumbnail(frame: Frame) -> NDArray[np.float32]:
    """Return luma in [0, 1] of about 32 x 32 places of a frame, each a mean over its row's part."""
    height, width = frame.shape[:2]
    rows = frame[:: max(1, height // THUMBNAIL)].mean(2, dtype=np.float32)
    step = max(1, width // THUMBNAIL)
    whole = rows[:, : width // step * step].reshape(len(rows), -1, step)
    small: NDArray[np.float32] = whole.mean(2) / np.iinfo(frame.dtype).max
    return small


def marked(frames: Iterable[Frame]) -> Iterator[tuple[Frame, bool]]:
    """Find the cuts of a clip: yield its frames, and whether they begin a shot."""
    before = None
    for frame in frames:
        after = thumbnail(frame)
        yield frame, before is None or is_cut(before, after)
        before = after
        del frame


def _opening(coming: Iterable[tuple[Frame, bool]]) -> list[Frame]:
    found: list[Frame] = []
    for frame, begins in coming:
        if begins and found:
            break
        found.append(frame)
    return found
