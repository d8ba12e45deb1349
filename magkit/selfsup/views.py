"""Random views of frames, in batches: crop, warp, blur, colours, and the draws for them."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from magkit.protocols import View
from magkit.runtime.seeds import generator
from magkit.selfsup.recipe import ViewConfig
from magkit.selfsup.resample import filtered, taps, warp

VIEW = 8  # first part of the key of a view's draws


class AugmentationParams(NamedTuple):
    """Uniform numbers in [0, 1), (N,) each: where in its range a change lies, or if it happens."""

    area: Tensor
    ratio: Tensor
    left: Tensor
    top: Tensor
    flip: Tensor
    jitter: Tensor
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor
    grey: Tensor
    blur: Tensor
    sigma: Tensor
    solarize: Tensor


def draw_params(seed: int, epochs_N: Tensor, indices_N: Tensor, *key: int) -> Tensor:
    """Return the draws (N, U) of one view of each frame, for `make_views`.

    A row is a pure function of (seed, epoch, index, key), whatever else is in the batch.

    Args:
        seed: of the training.
        epochs_N: which time each frame is seen, whole numbers.
        indices_N: the frames' numbers.
        key: tells the views of a frame apart, (branch, first or second view) for example.
    """
    times = zip(epochs_N.tolist(), indices_N.tolist(), strict=True)
    count = len(AugmentationParams._fields)
    rows = [
        torch.rand(count, generator=generator(seed, VIEW, *key, epoch, index))
        for epoch, index in times
    ]
    return torch.stack(rows) if rows else torch.empty(0, count)


def crop_boxes(draws: AugmentationParams, height: int, width: int, config: ViewConfig) -> Tensor:
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


LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
I_AXIS = (0.5959, -0.2746, -0.3213)  # NTSC, 1953
Q_AXIS = (0.2115, -0.5227, 0.3112)


def coloured(views: Tensor, draws: AugmentationParams, config: ViewConfig, which: int) -> Tensor:
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


def solarized(views: Tensor, draws: AugmentationParams, config: ViewConfig, which: int) -> Tensor:
    """Invert values of 0.5 and above, in those views that are to be."""
    if not config.solarize[which]:
        return views
    chosen = draws.solarize < config.solarize[which]
    return torch.where(chosen[:, None, None, None] & (views >= 0.5), 1 - views, views)


REFERENCE = 224  # pixels: the side of the views for which papers give standard deviations


def blurred(views: Tensor, draws: AugmentationParams, config: ViewConfig, which: int) -> Tensor:
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


@torch.no_grad()
def make_views(frames_NCHW: Tensor, draws_NU: Tensor, config: ViewConfig, which: int) -> View:
    """Make one view of each frame: a pure function of its arguments, on the frames' device.

    Blur comes before colour, for the two commute but for what is clipped.

    Args:
        frames_NCHW: RGB, uint8 or floats in [0, 1].
        draws_NU: as `draw_views` returns them.
        config: kinds and ranges of the changes.
        which: 0 or 1, the first or the second view, whose probabilities may differ.
    """
    frames, size = frames_NCHW, config.size
    draws = AugmentationParams(*draws_NU.to(frames.device).unbind(1))
    boxes = crop_boxes(draws, frames.shape[2], frames.shape[3], config)
    flipped = draws.flip < config.flip
    left, top, right, bottom = boxes.unbind(1)
    rows = taps(top, bottom, torch.zeros_like(flipped), size, frames.shape[2])
    columns = taps(left, right, flipped, size, frames.shape[3])
    if not frames.is_floating_point():
        rows = rows._replace(weights=rows.weights / 255)
    # Half precision, in which a training may run, would move what the boxes promise.
    with torch.autocast(frames.device.type, enabled=False):
        views = blurred(warp(frames, rows, columns), draws, config, which)
        views = solarized(coloured(views, draws, config, which), draws, config, which)
    return View(views, boxes, flipped)
