"""Pixel propagation and the consistency loss, in single precision or better."""

from __future__ import annotations

import torch
from torch import Tensor

from magkit.toolkit import normalized


def propagated(cells_NLD: Tensor, values_NLE: Tensor, gamma: float) -> Tensor:
    """Return what each cell gathers from those of its picture that are like it, (N, L, E).

    y_i = sum_j max(cos(x_i, x_j), 0)^gamma g(x_j): equations 3 and 4, for values g(x_j).
    """
    directions = normalized(cells_NLD)
    with torch.autocast(directions.device.type, enabled=False):
        likeness = (directions @ directions.mT).clamp(min=0).pow(gamma)
        return likeness @ values_NLE.to(likeness.dtype)


def disagreement(smoothed_NLD: Tensor, targets_NMD: Tensor, same_NLM: Tensor) -> Tensor:
    """Return the mean of 2 - 2 cos(y_i, x'_j) over each picture's pairs, (N,): equation 5, one way.

    0 for a picture without pairs. The paper writes -cos and its code doubles it; 2 - 2 cos has the
    code's gradients, and is 0 where all agree.
    """
    predictions, targets = normalized(smoothed_NLD), normalized(targets_NMD)
    with torch.autocast(predictions.device.type, enabled=False):
        apart = 2 - 2 * (predictions @ targets.mT)
    return (apart * same_NLM).sum((1, 2)) / same_NLM.sum((1, 2)).clamp(min=1)
