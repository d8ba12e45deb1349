"""In which order numbered items are seen: every one once an epoch, anew each time."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import torch

from magkit.runtime.seeds import generator


def in_epochs(places: Iterable[int], count: int, seed: int, key: int) -> list[tuple[int, int]]:
    """Return the epoch and the number of the items at places of an endless sequence.

    Args:
        places: from 0 on; the first `count` of them are the first epoch.
        count: number of items.
        seed: of the order.
        key: first part of the key of an epoch's draw.
    """
    times = (divmod(place, count) for place in places)
    return [(epoch, int(_order(seed, key, epoch, count)[place])) for epoch, place in times]


@lru_cache(maxsize=2)  # an epoch and, where it ends within a batch, the next
def _order(seed: int, key: int, epoch: int, count: int) -> torch.Tensor:
    return torch.randperm(count, generator=generator(seed, key, epoch))
