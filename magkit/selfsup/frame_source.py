"""Sources of unlabelled frames: the protocol, concatenation, and numbered batches."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset

from magkit.errors import UsageError
from magkit.runtime.seeds import epoch_order, generator
from magkit.synth.sources import resize

CACHE_BYTES = 400 << 20  # of frames that a process keeps
SINGLE = ("a",)  # the role of frames that belong to no scene
TRIPLET = ("a", "b", "c")  # before the motion, after it in other colours, after it
WINDOW = 10  # first part of the key of a window's position
ORDER = 9  # first part of the key of an epoch's order


class FrameSource(Protocol):
    """Numbered frames of one square size, or scenes with a frame for each role.

    A frame is a pure function of its number and role, in multiples of 1/255; caches of frames
    change none, and are not handed to other processes.
    """

    @property
    def roles(self) -> tuple[str, ...]:
        """`SINGLE` or `TRIPLET`."""
        ...

    @property
    def unreadable(self) -> Collection[str]:
        """The files found broken so far and replaced by others."""
        ...

    def __len__(self) -> int: ...

    def frames(self, indices: Sequence[int], role: str) -> Tensor:
        """Return frames as floats (N, 3, S, S) in [0, 1].

        Raises:
            MagkitError: one can't be read; the message names it.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Return a JSON object that differs where frames do."""
        ...

    def __str__(self) -> str:
        """Describe the frames, for a sentence."""
        ...


def square_window(frame: Tensor, size: int, index: int) -> Tensor:
    """Return a square window of a uint8 frame (3, h, w), at another size, as uint8 (3, S, S).

    The window is as large as fits; where along the longer side it lies depends on `index` alone.
    """
    side = min(frame.shape[1:])
    place = float(torch.rand((), generator=generator(0, WINDOW, index)))
    top, left = (round(place * (length - side)) for length in frame.shape[1:])
    window = frame[:, top : top + side, left : left + side]
    if side == size:
        return window.contiguous()  # a mere slice would keep all of the frame in memory
    return to_uint8(resize(window.float() / 255, size, size))


def centre_square(frame: Tensor, size: int) -> Tensor:
    """Return the largest centred square of a uint8 frame (3, h, w), as uint8 (3, S, S)."""
    side = min(frame.shape[1:])
    top, left = ((length - side) // 2 for length in frame.shape[1:])
    square = frame[:, top : top + side, left : left + side]
    if side == size:
        return square.contiguous()
    return to_uint8(resize(square.float() / 255, size, size))


def to_uint8(frames: Tensor) -> Tensor:
    """Round floats in [0, 1] to uint8."""
    return (frames * 255).round().to(torch.uint8)


def to_floats(frames: Sequence[Tensor]) -> Tensor:
    """Return uint8 frames (3, S, S) as floats (N, 3, S, S) in [0, 1]."""
    return torch.stack(list(frames)).float() / 255


class ConcatFrames:
    """Several sources of single frames as one `FrameSource`."""

    roles = SINGLE

    def __init__(self, *parts: FrameSource) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def __str__(self) -> str:
        return " and ".join(map(str, self._parts))

    @property
    def unreadable(self) -> Collection[str]:
        """Return the parts' broken files."""
        return {place for part in self._parts for place in part.unreadable}

    def frames(self, indices: Sequence[int], role: str) -> Tensor:
        """Return frames (N, 3, S, S); see `FrameSource`."""
        return torch.cat([self._frame(index, role) for index in indices])

    def describe(self) -> dict[str, Any]:
        """Return the parts' descriptions."""
        return {"parts": [part.describe() for part in self._parts]}

    def _frame(self, index: int, role: str) -> Tensor:
        for part in self._parts:
            if index < len(part):
                return part.frames([index], role)
            index -= len(part)
        raise IndexError(index)


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Frames of one step, and the keys of their random draws.

    Attributes:
        frames: uint8 (N, 3, S, S), by role.
        epochs_N: the epoch in which each is seen.
        indices_N: their numbers in the source.
    """

    frames: dict[str, Tensor]
    epochs_N: Tensor
    indices_N: Tensor

    def to(self, device: torch.device) -> FrameBatch:
        """Move the frames to a device; the keys stay on the CPU."""
        moved = {role: frames.to(device) for role, frames in self.frames.items()}
        return replace(self, frames=moved)

    def split(self, parts: int) -> list[FrameBatch]:
        """Return the frames in equal parts."""
        rows = {role: frames.chunk(parts) for role, frames in self.frames.items()}
        places = zip(self.epochs_N.chunk(parts), self.indices_N.chunk(parts), strict=True)
        return [
            FrameBatch({role: row[n] for role, row in rows.items()}, epochs, indices)
            for n, (epochs, indices) in enumerate(places)
        ]


class FrameBatches(Dataset[FrameBatch]):
    """Batch `step` of a training: a pure function of its arguments.

    Every frame comes once an epoch, in a new random order; an epoch may end within a batch. Each
    process gets its part of the batch: those of all, by rank, are the batch of one process.

    Args:
        source: of the frames.
        seed: of the order.
        batch: frames in a batch of all processes together.
        steps: number of batches.
        rank: number of this process, from 0.
        world: number of processes.
        roles: of the source, to be read.

    Raises:
        UsageError: the processes can't share the batch evenly, or the source lacks a role.
    """

    def __init__(
        self,
        source: FrameSource,
        seed: int,
        batch: int,
        steps: int,
        rank: int = 0,
        world: int = 1,
        roles: Sequence[str] = SINGLE,
    ) -> None:
        if batch < 1 or batch % world:
            problem = f"a batch of {batch} frames can't be shared evenly by {world} processes"
            raise UsageError(problem, f"a multiple of {world} can")
        if missing := [role for role in roles if role not in source.roles]:
            problem = f"{source} are single frames, without a partner '{missing[0]}'"
            raise UsageError(problem, "gen-data --kind triplets makes scenes with partners")
        self.source, self.seed, self.batch, self.steps = source, seed, batch, steps
        self.rank, self.world, self.roles = rank, world, tuple(roles)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> FrameBatch:
        share = self.batch // self.world
        start = step * self.batch + self.rank * share
        order = epoch_order(range(start, start + share), len(self.source), self.seed, ORDER)
        indices = [number for _, number in order]
        # B and C bring their A along; asked for first, it would be read by itself.
        roles = sorted(self.roles, reverse=True)
        frames = {role: to_uint8(self.source.frames(indices, role)) for role in roles}
        epochs = torch.tensor([epoch for epoch, _ in order])
        return FrameBatch(frames, epochs, torch.tensor(indices))
