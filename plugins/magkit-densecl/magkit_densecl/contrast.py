"""One contrast of queries with keys: a projector, its slow copy, and a queue of earlier keys."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magkit import UsageError
from magkit.runtime.distributed import all_gather


class Contrast(nn.Module):
    """What DenseCL has twice: for whole frames and for places.

    The queue is a ring of unit vectors, the oldest overwritten first. It starts filled with random
    directions, as MoCo's published code does, and is saved with the training.
    """

    vectors: Tensor  # (queue, dim)
    place: Tensor  # (), of the next key

    def __init__(self, channels: int, hidden: int, dim: int, queue: int) -> None:
        super().__init__()
        # On the last axis: for a grid of places this is two convolutions of 1 x 1.
        self.projector = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, dim)
        )
        self.key_projector = copy.deepcopy(self.projector).requires_grad_(False)
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
            self._put(torch.cat([all_gather(part) for part in self._waiting]))
        self.forget()

    @torch.no_grad()
    def _put(self, keys_ND: Tensor) -> None:
        count, size = len(keys_ND), len(self.vectors)
        if count > size:
            raise UsageError(
                f"a step's {count} keys don't fit a queue of {size}",
                "ask for a longer queue or a smaller batch",
            )
        places = (self.place + torch.arange(count, device=self.place.device)) % size
        self.vectors.index_copy_(0, places, keys_ND.to(self.vectors.dtype))
        self.place.copy_((self.place + count) % size)


@torch.no_grad()
def follow(follower: nn.Module, leader: nn.Module, tau: float) -> None:
    """Set each parameter of `follower` to tau times itself plus (1 - tau) times the leader's."""
    for old, new in zip(follower.parameters(), leader.parameters(), strict=True):
        old.lerp_(new, 1 - tau)
