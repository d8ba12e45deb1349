"""The axes along which the colours of photographs vary: those that steps are taken along.

In photographs the three channels go together: brightness varies seven times as much as the colour
that varies least. Steps of equal size along the channels make rainbows, steps in proportion to what
varies make what looks like a photograph (a preconditioner of the colours; Olah, Mordvintsev,
Schubert: Feature Visualization, Distill 2017, took it for pictures of neurons).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Axes = Literal["photographs", "plain"]

# The symmetric root of the covariance of RGB, in units of ImageNet's deviations, of 150 pictures of
# COCO's train2017 at 64 x 64, scaled so that its trace is 3.
_ROOT = (
    (0.9936, 0.6155, 0.4413),
    (0.6155, 0.9026, 0.6336),
    (0.4413, 0.6336, 1.1037),
)


def mixing(axes: Axes, like: Tensor) -> Tensor:
    """Return the matrix (3, 3) that makes normalised colours of coordinates along the axes."""
    return torch.eye(3).to(like) if axes == "plain" else torch.tensor(_ROOT).to(like)


def mixed(matrix: Tensor, colours_N3HW: Tensor) -> Tensor:
    """Return colours times a matrix; differentiable."""
    # No matrix product: autocast would round the colours to 8 bits.
    return (matrix[:, :, None, None] * colours_N3HW[:, None]).sum(2)
