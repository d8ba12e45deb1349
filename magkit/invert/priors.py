"""Image priors: total variation, norm, range and colour, and noise with photographs' statistics.

For pictures x (N, 3, H, W), each a mean over the batch; D are the differences to the right, lower,
lower right and lower left neighbour.

- tv_l1: the sum over D of the mean absolute difference.
- tv_l2: the sum over D of the Euclidean norm of the differences of a picture.
- l2_norm: the Euclidean norm of a picture.
- range_penalty: mean squared excess outside [0, 1].
- colour_penalty: squared distances of the channels' means and standard deviations from those of
  photographs.

The first three are the formulas of Video-DeepInversion's training code and of DeepInversion (Yin et
al., CVPR 2020), of pictures in a network's normalised space.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from magkit.invert.settings import InvertSettings

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's: of photographs in general


def normalize(images_NCHW: Tensor) -> Tensor:
    """Return pictures in [0, 1] in the space that priors are measured in."""
    mean, std = (images_NCHW.new_tensor(v)[:, None, None] for v in (MEAN, STD))
    return (images_NCHW - mean) / std


def denormalize(x_NCHW: Tensor) -> Tensor:
    """Return what `normalised` was given."""
    mean, std = (x_NCHW.new_tensor(v)[:, None, None] for v in (MEAN, STD))
    return x_NCHW * std + mean


def neighbour_differences(x: Tensor) -> Iterator[Tensor]:
    """Yield the differences to the right, lower, lower right and lower left neighbour."""
    yield x[..., :, 1:] - x[..., :, :-1]
    yield x[..., 1:, :] - x[..., :-1, :]
    yield x[..., 1:, 1:] - x[..., :-1, :-1]
    yield x[..., 1:, :-1] - x[..., :-1, 1:]


def tv_l1(x: Tensor) -> Tensor:
    """Return the total variation with the L1 norm."""
    return torch.stack([d.abs().mean() for d in neighbour_differences(x)]).sum()


def tv_l2(x: Tensor) -> Tensor:
    """Return the total variation with the L2 norm."""
    return torch.stack([_norms(d).mean() for d in neighbour_differences(x)]).sum()


def l2_norm(x: Tensor) -> Tensor:
    """Return the Euclidean norm of a picture."""
    return _norms(x).mean()


def range_penalty(x: Tensor) -> Tensor:
    """Return the mean squared excess outside [0, 1], in unnormalised values."""
    low, high = (normalize(x.new_full((3, 1, 1), v)) for v in (0.0, 1.0))
    return (torch.relu(low - x) + torch.relu(x - high)).square().mean()


def colour_penalty(x: Tensor) -> Tensor:
    """Return how far the channels' means are from 0 and their spreads from 1."""
    variance, mean = torch.var_mean(x, (2, 3), correction=0)
    return (mean.square() + ((variance + 1e-6).sqrt() - 1).square()).mean()


def _norms(x: Tensor) -> Tensor:
    # The norm of a constant image has no gradient: the constant keeps it from becoming NaN.
    return (x.flatten(1).square().sum(1) + 1e-12).sqrt()


# The symmetric root of the covariance of RGB, in units of ImageNet's deviations, of 150 pictures of
# COCO's train2017 at 64 x 64, scaled so that its trace is 3.
_ROOT = (
    (0.9936, 0.6155, 0.4413),
    (0.6155, 0.9026, 0.6336),
    (0.4413, 0.6336, 1.1037),
)


def colour_matrix(axes: Literal["photographs", "plain"], like: Tensor) -> Tensor:
    """Return the matrix (3, 3) that makes normalised colours of coordinates along the axes."""
    return torch.eye(3).to(like) if axes == "plain" else torch.tensor(_ROOT).to(like)


def apply_matrix(matrix: Tensor, colours_N3HW: Tensor) -> Tensor:
    """Return colours times a matrix; differentiable."""
    # No matrix product: autocast would round the colours to 8 bits.
    return (matrix[:, :, None, None] * colours_N3HW[:, None]).sum(2)


def init_noise(size: tuple[int, int], settings: InvertSettings, draw: torch.Generator) -> Tensor:
    """Return noise (3, H, W) in normalised space, its deviation about 1, as settings ask for it."""
    white = torch.randn(3, *size, generator=draw)
    grained = pink_noise(white) if settings.spectrum == "pink" else white
    return apply_matrix(colour_matrix(settings.axes, grained), grained[None])[0]


def pink_noise(white_CHW: Tensor) -> Tensor:
    """Return white noise of deviation 1 with an amplitude in inverse proportion to its frequency.

    So photographs have it (Field, Journal of the Optical Society of America A 4(12), 1987). White
    noise has nearly all of its energy in grain, which no classifier minds, and which stays.
    """
    height, width = white_CHW.shape[1:]
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None]
    frequency = (down.square() + across.square()).sqrt()
    frequency[0, 0] = 1 / max(height, width)  # of the mean: as of the longest wave
    falling = 1 / frequency
    falling /= falling.square().mean().sqrt()
    spectrum = torch.fft.rfft2(white_CHW) * falling[:, : width // 2 + 1]
    found: Tensor = torch.fft.irfft2(spectrum, s=(height, width))
    return found
