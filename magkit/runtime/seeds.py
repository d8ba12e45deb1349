"""Random draws and orders as pure functions of a seed and a key."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache

import torch


def generator(seed: int, *key: int) -> torch.Generator:
    """Return a CPU generator for one draw: the same (seed, key) gives the same numbers.

    The key names the draw, (epoch, index) for example: neither a restart nor the number of workers
    changes its numbers. Keys of different lengths are different.

    torch's CPU generator has 2^32 seeds, so that two of n keys share their numbers with a
    probability of about n^2 / 2^33: for independent draws, not as identifiers.
    """
    return torch.Generator().manual_seed(derived_seed(seed, *key))


def derived_seed(seed: int, *key: int) -> int:
    """Return a seed in [0, 2^63) for (seed, key), for numpy or a generator on another device."""
    text = ",".join(str(int(part)) for part in (seed, *key))
    digest = hashlib.blake2b(text.encode("ascii"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def epoch_order(places: Iterable[int], count: int, seed: int, key: int) -> list[tuple[int, int]]:
    """Return (epoch, index) of the items at places of an endless sequence of shuffled epochs.

    Args:
        places: 0 or more; the first `count` of them are the first epoch.
        count: number of items.
        seed: of the order.
        key: first part of the key of an epoch's draw.
    """
    times = (divmod(place, count) for place in places)
    return [(epoch, int(_order(seed, key, epoch, count)[place])) for epoch, place in times]


@lru_cache(maxsize=2)  # an epoch and, where it ends within a batch, the next
def _order(seed: int, key: int, epoch: int, count: int) -> torch.Tensor:
    return torch.randperm(count, generator=generator(seed, key, epoch))
