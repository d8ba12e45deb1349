"""Which part of its frame each view shows."""

from __future__ import annotations

import torch
from torch import Tensor

from magkit.selfsup.draws import Draws
from magkit.selfsup.view_config import ViewConfig


def crop_boxes(draws: Draws, height: int, width: int, config: ViewConfig) -> Tensor:
    """Return left, top, right and bottom edges (N, 4) of crops, in pixels of the frames.

    The area is uniform in its range, the logarithm of the ratio uniform among those ratios at
    which a crop of that area fits, and its place uniform, not bound to whole pixels. Where
    everything fits this is the law of torchvision's RandomResizedCrop (Szegedy et al., CVPR 2015,
    section 6), which draws both again where it doesn't and thereby makes large crops rarer than
    asked for. Where no ratio fits, in frames far from square, the crop is cut to the frame.
    """
    area = between(*config.scale, draws.area) * (height * width)
    narrowest = (area / height**2).clamp(*config.ratio)
    widest = (width**2 / area).clamp(*config.ratio)
    ratio = torch.exp(torch.lerp(narrowest.log(), widest.log(), draws.ratio))
    wide = (area * ratio).sqrt().clamp(max=width)
    high = (area / ratio).sqrt().clamp(max=height)
    left, top = draws.left * (width - wide), draws.top * (height - high)
    return torch.stack([left, top, left + wide, top + high], 1)


def between(low: float, high: float, draws_N: Tensor) -> Tensor:
    """Map numbers in [0, 1) to a range."""
    return low + (high - low) * draws_N
