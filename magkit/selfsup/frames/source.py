"""What a training without labels asks of its frames."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from magkit.runtime.seeds import generator
from magkit.synth.sources import resize

MEMORY = 400 << 20  # bytes of frames that a process remembers
SINGLE = ("a",)  # the role of frames that are nobody's partner
TRIPLET = ("a", "b", "c")  # before the motion, after it in other colours, after it
WINDOW = 10  # first part of the key of a window's place


class FrameSource(Protocol):
    """Numbered frames of one square size, or scenes with a frame for each role.

    A frame is a pure function of its number and role, in multiples of 1/255; what is remembered of
    frames changes none, and is not handed to other processes.
    """

    @property
    def roles(self) -> tuple[str, ...]:
        """`SINGLE` or `TRIPLET`."""
        ...

    @property
    def unreadable(self) -> Collection[str]:
        """The files that were found broken so far and replaced by others."""
        ...

    def __len__(self) -> int: ...

    def frames(self, indices: Sequence[int], role: str) -> Tensor:
        """Return frames as floats (N, 3, S, S) in [0, 1].

        Raises:
            MagkitError: one can't be read; the message names it.
        """
        ...

    def described(self) -> dict[str, Any]:
        """Return a JSON object that differs where frames do."""
        ...

    def __str__(self) -> str:
        """What the frames are, for a sentence."""
        ...


def squared(frame: Tensor, size: int, index: int) -> Tensor:
    """Return a square window of a uint8 frame (3, h, w), at another size, as uint8 (3, S, S).

    The window is as large as fits; where along the longer side it lies depends on `index` alone.
    """
    side = min(frame.shape[1:])
    place = float(torch.rand((), generator=generator(0, WINDOW, index)))
    top, left = (round(place * (length - side)) for length in frame.shape[1:])
    window = frame[:, top : top + side, left : left + side]
    if side == size:
        return window.contiguous()  # a mere slice would keep all of the frame in memory
    return to_bytes(resize(window.float() / 255, size, size))


def to_bytes(frames: Tensor) -> Tensor:
    """Round floats in [0, 1] to uint8."""
    return (frames * 255).round().to(torch.uint8)


def to_floats(frames: Sequence[Tensor]) -> Tensor:
    """Return uint8 frames (3, S, S) as floats (N, 3, S, S) in [0, 1]."""
    return torch.stack(list(frames)).float() / 255
