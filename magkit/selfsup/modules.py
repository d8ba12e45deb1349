"""Projection heads, losses on vectors, and momentum encoders: shared by the methods."""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magkit.errors import UsageError


def mlp(inputs: int, hidden: int, outputs: int, *, norm: bool) -> nn.Sequential:
    """Make a projection head of two linear layers: (M, inputs) to (M, outputs).

    With `norm`, there is a BatchNorm before the ReLU, and neither layer has a bias: the first's
    would be subtracted again, and the second has none in BYOL's own code either.
    """
    norms = [nn.BatchNorm1d(hidden)] if norm else []
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=not norm),
        *norms,
        nn.ReLU(inplace=True),
        nn.Linear(hidden, outputs, bias=not norm),
    )


def full_precision(x: Tensor) -> Tensor:
    """Convert half precision to single precision; others stay as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def normalized(vectors: Tensor) -> Tensor:
    """Return vectors (..., D) scaled to length 1, in single precision or better."""
    return F.normalize(full_precision(vectors), dim=-1)


@torch.no_grad()
def enqueue(queue_KD: Tensor, position: Tensor, keys_ND: Tensor) -> None:
    """Write keys into a ring of K vectors, in place, over the oldest ones.

    Args:
        queue_KD: the ring.
        position: of the next key, a scalar; it moves on by N, past the end to the start.
        keys_ND: the keys.

    Raises:
        UsageError: there are more keys than places.
    """
    count, size = len(keys_ND), len(queue_KD)
    if count > size:
        raise UsageError(
            f"a step's {count} keys don't fit a queue of {size}",
            "ask for a longer queue or a smaller batch",
        )
    places = (position + torch.arange(count, device=position.device)) % size
    queue_KD.index_copy_(0, places, keys_ND.to(queue_KD.dtype))
    position.copy_((position + count) % size)


def info_nce(queries_ND: Tensor, keys_ND: Tensor, others_KD: Tensor, temperature: float) -> Tensor:
    """Return the mean cross-entropy of telling each query's key from others, all of length 1.

    -log(exp(q k / T) / (exp(q k / T) + sum of exp(q o / T))): He et al., CVPR 2020, equation 1.
    """
    with torch.autocast(queries_ND.device.type, enabled=False):
        own = (queries_ND * keys_ND).sum(1, keepdim=True)
        logits = torch.cat([own, queries_ND @ others_KD.T], 1) / temperature
        return F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))


def cosine_distances(predictions_ND: Tensor, targets_ND: Tensor) -> Tensor:
    """Return squared distances of directions, 2 - 2 cos, (N,): Grill et al., equation 2."""
    return 2 - 2 * (normalized(predictions_ND) * normalized(targets_ND)).sum(1)


M = TypeVar("M", bound=nn.Module)


def momentum_copy(network: M) -> M:
    """Return a copy of a network without gradients."""
    return copy.deepcopy(network).requires_grad_(False)


@torch.no_grad()
def update_momentum(average: nn.Module, network: nn.Module, tau: float) -> None:
    """Set each parameter of `average` to tau times itself plus (1 - tau) times the network's."""
    for old, new in zip(average.parameters(), network.parameters(), strict=True):
        old.lerp_(new, 1 - tau)


def cosine_momentum(start: float, progress: float) -> float:
    """Return a momentum that rises from `start` to 1 as `progress` goes from 0 to 1.

    1 - (1 - start) (cos(pi k / K) + 1) / 2: Grill et al., NeurIPS 2020, section 3.2.
    """
    return 1 - (1 - start) * (math.cos(math.pi * progress) + 1) / 2
