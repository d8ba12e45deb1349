"""What the methods lower, on vectors, in single precision at least."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


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
