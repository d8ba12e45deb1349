"""What the processes of one training tell one another; alone, a process hears itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
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


def all_gathered(value: T) -> list[T]:
    """Return the values of all processes, by rank; they can be pickled."""
    if world() == 1:
        return [value]
    values: list[T] = [value] * world()
    distributed.all_gather_object(values, value)
    return values


def together(make: Callable[[], T]) -> T:
    """Return what `make` gives in this process, once it has ended well in all of them.

    A process that failed by itself would leave the others waiting for it.

    Raises:
        MagkitError: in all processes, if any exception is raised in one of them.
    """
    if world() == 1:
        return make()
    made, failure = _attempted(make)
    said = all_gathered(None if failure is None else _told(failure))
    if failure is not None:
        raise failure
    for number, error in enumerate(said, 1):
        if error is not None:
            problem = f"process {number} of {world()}: {error.message}"
            raise MagkitError(problem, error.hint)
    return cast("T", made)


def shared(make: Callable[[], T]) -> T:
    """Return what `make` gives in the first process, which alone calls it, to all of them.

    Raises:
        MagkitError: in all processes, if any exception is raised in the first.
    """
    if world() == 1:
        return make()
    made, failure = _attempted(make) if rank() == 0 else (None, None)
    said = [(made, None if failure is None else _told(failure))]
    distributed.broadcast_object_list(said)
    if failure is not None:
        raise failure
    given, problem = said[0]
    if problem is not None:
        raise problem
    return cast("T", given)


@contextmanager
def first(make: Callable[[], AbstractContextManager[T]]) -> Iterator[T | None]:
    """Enter a context in the first process alone; yield what it gives, and None in the others.

    Raises:
        MagkitError: in all processes, if it can't be entered.
    """
    with ExitStack() as stack:
        entered: list[T] = []
        shared(lambda: entered.append(stack.enter_context(make())))
        yield entered[0] if entered else None


def _attempted(make: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return make(), None
    except Exception as error:
        return None, error


def _told(error: Exception) -> MagkitError:
    """Return an error as other processes are told it: of any type that can be pickled."""
    if isinstance(error, MagkitError):
        return error
    return MagkitError(f"it failed: {type(error).__name__}: {error}")


def _joined() -> bool:
    return distributed.is_available() and distributed.is_initialized()
