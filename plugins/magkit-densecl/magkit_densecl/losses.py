"""Contrastive loss and correspondence: N pictures, S places, D dimensions, K other keys."""

from __future__ import annotations

import torch
from torch import Tensor

from magkit.toolkit import normalized


def info_nce(queries_ND: Tensor, keys_ND: Tensor, others_KD: Tensor, temperature: float) -> Tensor:
    """Tell each query's own key from others, all of length 1: the mean over the queries.

    -log(exp(q k / T) / (exp(q k / T) + sum of exp(q o / T))): Wang et al., equations 1 and 2.
    """
    with torch.autocast(queries_ND.device.type, enabled=False):
        own = (queries_ND * keys_ND).sum(1) / temperature
        # Of places there are very many: their similarities are made once, and never copied.
        others = (queries_ND / temperature @ others_KD.T).logsumexp(1)
        return (torch.logaddexp(own, others) - own).mean()


@torch.no_grad()
def correspondence(queries_NSC: Tensor, keys_NSC: Tensor) -> Tensor:
    """Return, for each place of the first view, the number of the likest in the second, (N, S).

    The greatest cosine of the encoder's features, not of projections: Wang et al., section 3.4.
    """
    with torch.autocast(queries_NSC.device.type, enabled=False):
        return (normalized(queries_NSC) @ normalized(keys_NSC).mT).argmax(2)
