"""The target follows the online network: an average of its weights, ever slower."""

from __future__ import annotations

import math

import torch
from torch import nn


@torch.no_grad()
def follow(target: nn.Module, online: nn.Module, tau: float) -> None:
    """Set each parameter of `target` to tau times itself plus (1 - tau) times the online one.

    Statistics of batch normalisation aren't averaged: each network keeps those it saw itself.
    """
    for old, new in zip(target.parameters(), online.parameters(), strict=True):
        old.lerp_(new, 1 - tau)


def cosine_tau(start: float, progress: float) -> float:
    """Return a decay that rises from `start` to 1 along a cosine: Grill et al., NeurIPS 2020.

    1 - (1 - start) (cos(pi progress) + 1) / 2, for a progress from 0 to 1.
    """
    return 1 - (1 - start) * (math.cos(math.pi * progress) + 1) / 2
