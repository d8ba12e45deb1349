"""Networks that follow others slowly: moving averages of weights.

Parameters alone are averaged. Buffers (the statistics of batch normalisation) stay the follower's
own, as in MoCo's and BYOL's code: it runs in training mode and normalises by the batches that it
sees itself.
"""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from torch import nn

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
