"""What pictures look like, whatever network looks at them.

For pictures x (N, 3, H, W), each a mean over the batch; D are the differences to the right, lower,
lower right and lower left neighbour.

- tv_l1: the sum over D of the mean absolute difference.
- tv_l2: the sum over D of the Euclidean norm of the differences of a picture.
- l2_norm: the Euclidean norm of a picture.
- beyond: mean square of what lies outside of the range that pictures have.
- colour: squared distances of the channels' means and spreads from those of photographs.

The first three are the formulas of Video-DeepInversion's training code and of DeepInversion (Yin et
al., CVPR 2020), of pictures in a network's normalised space.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's: of photographs in general


def normalised(images_NCHW: Tensor) -> Tensor:
    """Return pictures in [0, 1] in the space that priors are measured in."""
    mean, std = (images_NCHW.new_tensor(v)[:, None, None] for v in (MEAN, STD))
    return (images_NCHW - mean) / std


def denormalised(x_NCHW: Tensor) -> Tensor:
    """Return what `normalised` was given."""
    mean, std = (x_NCHW.new_tensor(v)[:, None, None] for v in (MEAN, STD))
    return x_NCHW * std + mean


def differences(x: Tensor) -> Iterator[Tensor]:
    """Yield the differences to the right, lower, lower right and lower left neighbour."""
    yield x[..., :, 1:] - x[..., :, :-1]
    yield x[..., 1:, :] - x[..., :-1, :]
    yield x[..., 1:, 1:] - x[..., :-1, :-1]
    yield x[..., 1:, :-1] - x[..., :-1, 1:]


def tv_l1(x: Tensor) -> Tensor:
    """Return the total variation by absolute values."""
    return torch.stack([d.abs().mean() for d in differences(x)]).sum()


def tv_l2(x: Tensor) -> Tensor:
    """Return the total variation by Euclidean norms."""
    return torch.stack([_norms(d).mean() for d in differences(x)]).sum()


def l2_norm(x: Tensor) -> Tensor:
    """Return the Euclidean norm of a picture."""
    return _norms(x).mean()


def beyond(x: Tensor) -> Tensor:
    """Return the mean square of what lies outside of [0, 1] before normalising."""
    low, high = (normalised(x.new_full((3, 1, 1), v)) for v in (0.0, 1.0))
    return (torch.relu(low - x) + torch.relu(x - high)).square().mean()


def colour(x: Tensor) -> Tensor:
    """Return how far the channels' means are from 0 and their spreads from 1."""
    variance, mean = torch.var_mean(x, (2, 3), correction=0)
    return (mean.square() + ((variance + 1e-6).sqrt() - 1).square()).mean()


def _norms(x: Tensor) -> Tensor:
    # A flat picture's norm has no gradient: a hair's breadth keeps it from becoming NaN.
    return (x.flatten(1).square().sum(1) + 1e-12).sqrt()
