"""Numbered batches of frames, in an order that a seed determines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import Dataset

from magkit.errors import UsageError
from magkit.runtime.order import in_epochs
from magkit.selfsup.frames.source import SINGLE, FrameSource, to_bytes

ORDER = 9  # first part of the key of an epoch's order


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Frames of one step, and what their random draws are functions of.

    Attributes:
        frames: uint8 (N, 3, S, S), by role.
        epochs_N: which time each is seen.
        indices_N: their numbers in the source.
    """

    frames: dict[str, Tensor]
    epochs_N: Tensor
    indices_N: Tensor

    def to(self, device: torch.device) -> FrameBatch:
        """Move the frames to a device; what draws are functions of stays."""
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
        roles: those of the source's that are wanted.

    Raises:
        UsageError: a batch that can't be shared evenly, or a role that the source lacks.
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
        times = in_epochs(range(start, start + share), len(self.source), self.seed, ORDER)
        indices = [number for _, number in times]
        # B and C bring their A along; asked for first, it would be read by itself.
        roles = sorted(self.roles, reverse=True)
        frames = {role: to_bytes(self.source.frames(indices, role)) for role in roles}
        epochs = torch.tensor([epoch for epoch, _ in times])
        return FrameBatch(frames, epochs, torch.tensor(indices))
