"""Projection heads, losses on vectors, and momentum encoders: shared by the methods."""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def mlp(inputs: int, hidden: int, outputs: int, *, norm: bool) -> nn.Sequential:
    """Make two linear layers with a ReLU between them: (M, inputs) to (M, outputs).

    With `norm`, features are normalised over the batch before the ReLU, and neither layer has a
    bias: the first's would be taken off again, and the second has none in BYOL's own code either.
    """
    between = [nn.BatchNorm1d(hidden)] if norm else []
    return nn.Sequential(
        nn.Linear(inputs, hidden, bias=not norm),
        *between,
        nn.ReLU(inplace=True),
        nn.Linear(hidden, outputs, bias=not norm),
    )


def full(x: Tensor) -> Tensor:
    """Return half-precision numbers as single-precision ones; others as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def unit(vectors_ND: Tensor) -> Tensor:
    """Return vectors with length 1."""
    return F.normalize(full(vectors_ND), dim=1)


def info_nce(queries_ND: Tensor, keys_ND: Tensor, others_KD: Tensor, temperature: float) -> Tensor:
    """Tell each query's own key from other keys, all of length 1: the mean cross-entropy.

    -log(exp(q k / T) / (exp(q k / T) + sum of exp(q o / T))): He et al., CVPR 2020, equation 1.
    """
    with torch.autocast(queries_ND.device.type, enabled=False):
        own = (queries_ND * keys_ND).sum(1, keepdim=True)
        logits = torch.cat([own, queries_ND @ others_KD.T], 1) / temperature
        return F.cross_entropy(logits, logits.new_zeros(len(logits), dtype=torch.long))


def distances(predictions_ND: Tensor, targets_ND: Tensor) -> Tensor:
    """Return squared distances of directions, 2 - 2 cos, (N,): Grill et al., equation 2."""
    return 2 - 2 * (unit(predictions_ND) * unit(targets_ND)).sum(1)


M = TypeVar("M", bound=nn.Module)


def follower_of(leader: M) -> M:
    """Copy a network to one that is not trained."""
    return copy.deepcopy(leader).requires_grad_(False)


@torch.no_grad()
def follow(follower: nn.Module, leader: nn.Module, tau: float) -> None:
    """Set each parameter of `follower` to tau times itself plus (1 - tau) times the leader's."""
    for old, new in zip(follower.parameters(), leader.parameters(), strict=True):
        old.lerp_(new, 1 - tau)


def cosine_tau(start: float, progress: float) -> float:
    """Return a decay that rises from `start` to 1 as `progress` goes from 0 to 1.

    1 - (1 - start) (cos(pi k / K) + 1) / 2: Grill et al., NeurIPS 2020, section 3.2.
    """
    return 1 - (1 - start) * (math.cos(math.pi * progress) + 1) / 2
