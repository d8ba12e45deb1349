"""Changes of colour as one affine map of RGB for each view.

Brightness, contrast, saturation and hue are torchvision's ColorJitter with the same ranges and,
saving hue, the same formulas; they are composed into one map and clipped once. All four keep or
scale grey axis and luma, so they commute: the random order in which ColorJitter applies them
changes nothing but what is clipped in between. Hue is turned in the plane of I and Q of the NTSC's
YIQ, which is linear and keeps luma; HSV's hue, as torchvision turns it, is neither.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from magkit.selfsup.crops import between
from magkit.selfsup.draws import Draws
from magkit.selfsup.view_config import ViewConfig

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
I_AXIS = (0.5959, -0.2746, -0.3213)  # NTSC, 1953
Q_AXIS = (0.2115, -0.5227, 0.3112)


def coloured(views: Tensor, draws: Draws, config: ViewConfig, which: int) -> Tensor:
    """Change the colours of views (N, 3, S, S) and clip them to [0, 1]."""
    jitter = draws.jitter < config.jitter[which]
    brightness, contrast, saturation = (
        torch.where(jitter, between(max(0.0, 1 - most), 1 + most, drawn), 1.0)
        for most, drawn in (
            (config.brightness, draws.brightness),
            (config.contrast, draws.contrast),
            (config.saturation, draws.saturation),
        )
    )
    turns = torch.where(jitter, between(-config.hue, config.hue, draws.hue), 0.0)
    saturation = torch.where(draws.grey < config.grey[which], 0.0, saturation)
    matrix = colour_matrix(brightness, contrast, saturation, turns, views.mean((2, 3)))
    # A slice of the matrix takes torch forty times as long.
    flat = torch.baddbmm(matrix[:, :, 3:], matrix[:, :, :3].contiguous(), views.flatten(2))
    return flat.clamp_(0, 1).view_as(views)


def colour_matrix(
    brightness_N: Tensor, contrast_N: Tensor, saturation_N: Tensor, turns_N: Tensor, mean_N3: Tensor
) -> Tensor:
    """Return affine maps (N, 3, 4) of RGB: changed = matrix @ (r, g, b, 1).

    Args:
        brightness_N: factor of all values.
        contrast_N: factor of the distance from the picture's mean luma.
        saturation_N: factor of the distance from a pixel's luma; 0 takes the colour away.
        turns_N: rotation of hue, from red towards green, in turns.
        mean_N3: mean RGB of the pictures.
    """
    luma = mean_N3.new_tensor(LUMA)
    grey = luma.expand(3, 3)
    chroma = saturation_N[:, None, None] * _rotation(turns_N)
    gain = (brightness_N * contrast_N)[:, None, None]
    offset = brightness_N * (1 - contrast_N) * (mean_N3 @ luma)
    return torch.cat([gain * (grey + chroma), offset[:, None, None].expand(-1, 3, 1)], 2)


def _rotation(turns_N: Tensor) -> Tensor:
    """Return matrices (N, 3, 3) that drop the luma of RGB and turn the rest about the grey axis."""
    to_yiq = turns_N.new_tensor([LUMA, I_AXIS, Q_AXIS])
    # Red, yellow, green lie clockwise in the plane of I and Q.
    angle = -2 * math.pi * turns_N
    cosine, sine = angle.cos(), angle.sin()
    turn = torch.stack([cosine, -sine, sine, cosine], 1).view(-1, 2, 2)
    from_yiq: Tensor = torch.linalg.inv(to_yiq)
    return from_yiq[:, 1:] @ turn @ to_yiq[1:]


def solarized(views: Tensor, draws: Draws, config: ViewConfig, which: int) -> Tensor:
    """Invert values of 0.5 and above, in those views that are to be."""
    if not config.solarize[which]:
        return views
    chosen = draws.solarize < config.solarize[which]
    return torch.where(chosen[:, None, None, None] & (views >= 0.5), 1 - views, views)
