"""Contrastive branch: a projector, its momentum copy, and a queue of earlier keys."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magkit.toolkit import all_gather, enqueue, mlp, momentum_copy


class Contrast(nn.Module):
    """One of DenseCL's two branches, for whole frames or for places.

    The queue is a ring of unit vectors, the oldest overwritten first. It starts filled with random
    directions, as MoCo's published code does, and is saved with the training.
    """

    vectors: Tensor  # (queue, dim)
    place: Tensor  # (), of the next key

    def __init__(self, channels: int, hidden: int, dim: int, queue: int) -> None:
        super().__init__()
        # On the last axis: for a grid of places this is two convolutions of 1 x 1.
        self.projector = mlp(channels, hidden, dim, norm=False)
        self.key_projector = momentum_copy(self.projector)
        self.register_buffer("vectors", F.normalize(torch.randn(queue, dim), dim=1))
        self.register_buffer("place", torch.zeros((), dtype=torch.long))
        self._waiting: list[Tensor] = []  # this step's keys, which its own queries must not meet

    def wait(self, keys_ND: Tensor) -> None:
        """Keep this process' keys of a part of a step until the step is done."""
        self._waiting.append(keys_ND.detach())

    def forget(self) -> None:
        """Drop what waits."""
        self._waiting.clear()

    def push(self) -> None:
        """Put what waits, of all processes, into the queue.

        Raises:
            UsageError: it is more than the queue holds.
        """
        if self._waiting:
            keys_ND = torch.cat([all_gather(part) for part in self._waiting])
            enqueue(self.vectors, self.place, keys_ND)
        self.forget()
