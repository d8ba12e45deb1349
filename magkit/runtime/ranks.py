"""What the processes of one training tell one another; alone, a process hears itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar, cast

import torch
from torch import distributed

from magkit.errors import MagkitError

T = TypeVar("T")


def world() -> int:
    """Return the number of processes."""
    return distributed.get_world_size() if _joined() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return distributed.get_rank() if _joined() else 0


def gathered(part: torch.Tensor) -> torch.Tensor:
    """Return the parts (N, ...) of all processes one after the other, by rank; no gradient."""
    part = part.detach().contiguous()
    if world() == 1:
        return part
    parts = [torch.empty_like(part) for _ in range(world())]
    distributed.all_gather(parts, part)
    return torch.cat(parts)


def summed(part: torch.Tensor) -> torch.Tensor:
    """Return the sum of the parts of all processes; no gradient."""
    total = part.detach().clone()
    if world() > 1:
        distributed.all_reduce(total)
    return total


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace gradients by their mean over all processes, in one message."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if world() == 1 or not gradients:
        return
    flat = torch.cat([g.reshape(-1) for g in gradients])
    distributed.all_reduce(flat)
    flat /= world()
    means = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))


def shared(make: Callable[[], T]) -> T:
    """Return what `make` gives in the first process, which alone calls it, to all of them.

    Raises:
        MagkitError: in all processes, if it is raised in the first.
    """
    if world() == 1:
        return make()
    said: list[tuple[T | None, MagkitError | None]] = [(None, None)]
    if rank() == 0:
        try:
            said = [(make(), None)]
        except MagkitError as error:
            said = [(None, error)]
    distributed.broadcast_object_list(said)
    made, failure = said[0]
    if failure is not None:
        raise failure
    return cast("T", made)


def first(make: Callable[[], AbstractContextManager[None]]) -> AbstractContextManager[None]:
    """Return a context of the first process; that of the others does nothing."""
    return make() if rank() == 0 else nullcontext()


def _joined() -> bool:
    return distributed.is_available() and distributed.is_initialized()
