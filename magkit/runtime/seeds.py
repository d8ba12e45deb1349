"""Random draws as pure functions of a seed and a key, whatever was drawn before."""

import hashlib

import torch


def generator(seed: int, *key: int) -> torch.Generator:
    """A CPU generator for one draw: the same (seed, key) gives the same numbers, at any time.

    A key says which draw it is, (epoch, index) for example: neither a restart nor the number of
    workers changes what it gives. Keys of different lengths never mean the same.

    torch's CPU generator tells 2^32 seeds apart, so that two of n keys share their numbers with
    a probability of about n^2 / 2^33: for independent draws, not for telling keys apart.
    """
    return torch.Generator().manual_seed(derived_seed(seed, *key))


def derived_seed(seed: int, *key: int) -> int:
    """A seed in [0, 2^63) for (seed, key), for numpy or for a generator on another device."""
    text = ",".join(str(int(part)) for part in (seed, *key))
    digest = hashlib.blake2b(text.encode("ascii"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
