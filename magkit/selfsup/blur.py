"""Gaussian blur, each view with its own standard deviation."""

from __future__ import annotations

import torch
from torch import Tensor

from magkit.selfsup.crops import between
from magkit.selfsup.draws import Draws
from magkit.selfsup.view_config import ViewConfig
from magkit.selfsup.warp import filtered

REFERENCE = 224  # pixels: the side of the views for which papers give standard deviations


def blurred(views: Tensor, draws: Draws, config: ViewConfig, which: int) -> Tensor:
    """Blur those of the views (N, 3, S, S) that are to be.

    Standard deviations grow with the views, so that smaller ones lose the same details of what
    they show.
    """
    chosen = (draws.blur < config.blur[which]).nonzero().flatten()
    sigma = between(*config.sigma, draws.sigma[chosen]) * (config.size / REFERENCE)
    kernels = gaussians(sigma, config.size)
    return views.index_copy_(0, chosen, filtered(views[chosen], kernels, kernels))


def gaussians(sigma_N: Tensor, size: int) -> Tensor:
    """Return matrices (N, S, S) that blur along one direction; rows have a sum of one.

    What lies beyond the picture has no weight. `sigma_N` is in pixels, above 0.
    """
    places = torch.arange(size, device=sigma_N.device)
    squares = (places[:, None] - places) ** 2
    weights = torch.exp(squares / (-2 * sigma_N**2)[:, None, None])
    return weights / weights.sum(2, keepdim=True)
