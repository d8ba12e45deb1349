"""Random views of frames, in batches: crop, resize, blur, colour jitter, and their parameters.

Cropping, mirroring and resizing are one separable resampling, exact to a hundredth of a pixel:
view = rows @ frame @ columns^T, with a sparse matrix of weights for each view and direction. The
weights are those of Pillow's antialiased bilinear filter, a triangle one view pixel wide to either
side, tilted a little: a sampled triangle whose width is no whole number of pixels shows what lies
up to 0.09 px off, which would be noise in everything that is learnt from displacements.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from magkit.protocols import View
from magkit.runtime.seeds import generator
from magkit.selfsup.recipe import ViewConfig

VIEW = 8  # first part of the key of a view's draws
STRIPS = 4  # on a CPU a view's rows and columns are computed in so many parts: fewer zeros
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
I_AXIS = (0.5959, -0.2746, -0.3213)  # NTSC, 1953
Q_AXIS = (0.2115, -0.5227, 0.3112)
REFERENCE_SIZE = 224  # pixels: side of the views for which papers give standard deviations


class AugmentationParams(NamedTuple):
    """Uniform numbers in [0, 1), (N,) each: place in a range, or against a probability."""

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
    """Draw the parameters (N, U) of one view of each frame, for `make_views`.

    A row is a pure function of (seed, epoch, index, key), whatever else is in the batch.

    Args:
        seed: of the training.
        epochs_N: the epoch in which each frame is seen.
        indices_N: the frames' numbers.
        key: tells the views of a frame apart, (branch, first or second view) for example.
    """
    count = len(AugmentationParams._fields)
    rows = [
        torch.rand(count, generator=generator(seed, VIEW, *key, epoch, index))
        for epoch, index in zip(epochs_N.tolist(), indices_N.tolist(), strict=True)
    ]
    return torch.stack(rows) if rows else torch.empty(0, count)


@torch.no_grad()
def make_views(frames_NCHW: Tensor, params_NU: Tensor, config: ViewConfig, which: int) -> View:
    """Make one view of each frame: a pure function of its arguments, on the frames' device.

    Blur comes before colour: the two commute except where values are clipped.

    Args:
        frames_NCHW: RGB, uint8 or floats in [0, 1].
        params_NU: as `draw_params` returns them.
        config: kinds and ranges of the changes.
        which: 0 or 1, the first or the second view, whose probabilities may differ.
    """
    frames, size = frames_NCHW, config.size
    params = AugmentationParams(*params_NU.to(frames.device).unbind(1))
    boxes = crop_boxes(params, frames.shape[2], frames.shape[3], config)
    flipped = params.flip < config.flip
    left, top, right, bottom = boxes.unbind(1)
    rows = resize_taps(top, bottom, torch.zeros_like(flipped), size, frames.shape[2])
    columns = resize_taps(left, right, flipped, size, frames.shape[3])
    if not frames.is_floating_point():
        rows = rows._replace(weights=rows.weights / 255)
    # Half precision, in which a training may run, would move what the boxes promise.
    with torch.autocast(frames.device.type, enabled=False):
        views = gaussian_blur(crop_and_resize(frames, rows, columns), params, config, which)
        views = solarize(color_jitter(views, params, config, which), params, config, which)
    return View(views, boxes, flipped)


def crop_boxes(params: AugmentationParams, height: int, width: int, config: ViewConfig) -> Tensor:
    """Return left, top, right and bottom edges (N, 4) of crops, in pixels of the frames.

    The area is uniform in its range, the logarithm of the ratio uniform among those ratios at
    which a crop of that area fits, and its place uniform, not bound to whole pixels. Where
    everything fits this is the law of torchvision's RandomResizedCrop (Szegedy et al., CVPR 2015,
    section 6), which draws both again where it doesn't and thereby makes large crops rarer than
    asked for. Where no ratio fits, in frames far from square, the crop is cut to the frame.
    """
    area = scaled(params.area, *config.scale) * (height * width)
    narrowest = (area / height**2).clamp(*config.ratio)
    widest = (width**2 / area).clamp(*config.ratio)
    ratio = torch.exp(torch.lerp(narrowest.log(), widest.log(), params.ratio))
    wide = (area * ratio).sqrt().clamp(max=width)
    high = (area / ratio).sqrt().clamp(max=height)
    left, top = params.left * (width - wide), params.top * (height - high)
    return torch.stack([left, top, left + wide, top + high], 1)


def scaled(uniform_N: Tensor, low: float, high: float) -> Tensor:
    """Map numbers in [0, 1) to a range."""
    return low + (high - low) * uniform_N


class Taps(NamedTuple):
    """Sparse weights: pixel i of a view is the sum of weights[i, k] source[first[i] + k].

    Shapes: first (N, S) whole numbers, weights (N, S, K). Weights outside the source are zero.
    """

    first: Tensor
    weights: Tensor


def resize_taps(low_N: Tensor, high_N: Tensor, flipped_N: Tensor, size: int, length: int) -> Taps:
    """Return the weights that resample [low, high] of `length` pixels to `size` pixels.

    Args:
        low_N: start of the part in pixels, 0 or more.
        high_N: its end, `length` at most.
        flipped_N: whether it is read backwards.
        size: S.
        length: of the source.
    """
    step = ((high_N - low_N) / size)[:, None]
    along = torch.arange(size, device=low_N.device) + 0.5
    centres = torch.where(
        flipped_N[:, None], high_N[:, None] - along * step, low_N[:, None] + along * step
    )
    reach = step.clamp(min=1)
    first = (centres - reach - 0.5).floor() + 1
    # No crop is larger than its source: so many pixels lie below any triangle.
    pixels = torch.arange(2 * math.ceil(max(length / size, 1)), device=low_N.device)
    numbers = first[..., None] + pixels
    offsets = (numbers + 0.5 - centres[..., None]) / reach[..., None]
    inside = (numbers >= 0) & (numbers < length)
    return Taps(first.long(), _tilted((1 - offsets.abs()).clamp(min=0) * inside, offsets))


def _tilted(weights: Tensor, offsets: Tensor) -> Tensor:
    """Give weights at offsets in [-1, 1] a sum of one and a mean offset of zero.

    They stay positive, so that views stay in the range of their frames: where that bounds the
    tilt, at the very edge of a source that is enlarged, its outermost pixel is repeated.
    """
    first = (weights * offsets).sum(-1, keepdim=True)
    second = (weights * offsets**2).sum(-1, keepdim=True)
    tilt = (-first / second.clamp(min=1e-9)).clamp(-1, 1)
    weights = weights * (1 + tilt * offsets)
    return weights / weights.sum(-1, keepdim=True)


def crop_and_resize(frames: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """Resample frames (N, C, H, W), of any type, to floats (N, C, S, S) of the same range."""
    height, width = frames.shape[2:]
    if frames.device.type == "cpu":
        return _by_strips(frames, _strips(rows, height), _strips(columns, width))
    # Many small products would keep another device waiting: it multiplies zeros as well.
    start = torch.zeros_like(rows.first[:, 0])
    return separable_filter(frames, _matrix(rows, start, height), _matrix(columns, start, width))


def separable_filter(frames: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return rows @ frames @ columns^T, (N, C, S, S), for frames (N, C, H, W) of any type."""
    count, channels, height, width = frames.shape
    lines = _lines(frames).view(count, height * channels, width)
    wide = (lines @ columns.mT).view(count, height, channels * columns.shape[1])
    views = (rows @ wide).view(count, rows.shape[1], channels, columns.shape[1])
    return views.transpose(1, 2).contiguous()


def _lines(frames: Tensor) -> Tensor:
    """Return frames (..., C, H, W) as floats (..., H, C, W): a product with each side is one."""
    return frames.transpose(-3, -2).contiguous().float()


class _Strip(NamedTuple):
    """A part of the views' rows or columns, and the range of source pixels of each view's."""

    part: slice
    lows: list[int]
    highs: list[int]
    weights: Tensor  # (N, S / STRIPS, most), of the pixels from `lows` on


def _strips(sparse: Taps, length: int) -> list[_Strip]:
    size, most = sparse.weights.shape[1:]
    edges = [round(size * number / STRIPS) for number in range(STRIPS + 1)]
    strips = []
    for part in (slice(*ends) for ends in pairwise(edges)):
        inner = Taps(sparse.first[:, part], sparse.weights[:, part])
        low = inner.first.amin(1).clamp(min=0)
        high = (inner.first.amax(1) + most).clamp(max=length)
        weights = _matrix(inner, low, int((high - low).max()))
        strips.append(_Strip(part, low.tolist(), high.tolist(), weights))
    return strips


def _by_strips(frames: Tensor, rows: list[_Strip], columns: list[_Strip]) -> Tensor:
    """Do as `separable_filter`, with those pixels alone that a strip of a view shows."""
    count, channels, size = len(frames), frames.shape[1], rows[-1].part.stop
    views = torch.empty(count, size, channels * size)
    for n in range(count):
        top, bottom = min(s.lows[n] for s in rows), max(s.highs[n] for s in rows)
        left, right = min(s.lows[n] for s in columns), max(s.highs[n] for s in columns)
        lines = _lines(frames[n, :, top:bottom, left:right]).flatten(0, 1)
        wide = torch.empty(len(lines), size)
        for part, lows, highs, weights in columns:
            low, high = lows[n], highs[n]
            seen = lines[:, low - left : high - left]
            torch.mm(seen, weights[n, :, : high - low].T, out=wide[:, part])
        wide = wide.view(bottom - top, -1)
        for part, lows, highs, weights in rows:
            low, high = lows[n], highs[n]
            seen = wide[low - top : high - top]
            torch.mm(weights[n, :, : high - low], seen, out=views[n, part])
    return views.view(count, size, channels, size).transpose(1, 2).contiguous()


def _matrix(sparse: Taps, start_N: Tensor, length: int) -> Tensor:
    """Return the weights of `length` pixels from `start_N` on as matrices (N, S, length)."""
    count, size, most = sparse.weights.shape
    padded = sparse.weights.new_zeros(count, size, length + 2 * most)
    first = sparse.first - start_N[:, None] + most
    places = first[..., None] + torch.arange(most, device=padded.device)
    return padded.scatter_(2, places, sparse.weights)[..., most : most + length]


def gaussian_blur(
    views: Tensor, params: AugmentationParams, config: ViewConfig, which: int
) -> Tensor:
    """Blur the chosen ones of the views (N, 3, S, S), in place.

    Standard deviations grow with the views, so that smaller ones lose the same details of what
    they show.
    """
    chosen = (params.blur < config.blur[which]).nonzero().flatten()
    sigma = scaled(params.sigma[chosen], *config.sigma) * (config.size / REFERENCE_SIZE)
    kernels = gaussian_matrices(sigma, config.size)
    return views.index_copy_(0, chosen, separable_filter(views[chosen], kernels, kernels))


def gaussian_matrices(sigma_N: Tensor, size: int) -> Tensor:
    """Return matrices (N, S, S) that blur along one direction; rows have a sum of one.

    What lies beyond the picture has no weight. `sigma_N` is in pixels, above 0.
    """
    places = torch.arange(size, device=sigma_N.device)
    squares = (places[:, None] - places) ** 2
    weights = torch.exp(squares / (-2 * sigma_N**2)[:, None, None])
    return weights / weights.sum(2, keepdim=True)


def color_jitter(
    views: Tensor, params: AugmentationParams, config: ViewConfig, which: int
) -> Tensor:
    """Change the colours of views (N, 3, S, S) and clip them to [0, 1]."""
    jitter = params.jitter < config.jitter[which]
    brightness, contrast, saturation = (
        torch.where(jitter, scaled(uniform, max(0.0, 1 - most), 1 + most), 1.0)
        for most, uniform in (
            (config.brightness, params.brightness),
            (config.contrast, params.contrast),
            (config.saturation, params.saturation),
        )
    )
    turns = torch.where(jitter, scaled(params.hue, -config.hue, config.hue), 0.0)
    saturation = torch.where(params.grey < config.grey[which], 0.0, saturation)
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
    chroma = saturation_N[:, None, None] * _hue_rotation(turns_N)
    gain = (brightness_N * contrast_N)[:, None, None]
    offset = brightness_N * (1 - contrast_N) * (mean_N3 @ luma)
    return torch.cat([gain * (grey + chroma), offset[:, None, None].expand(-1, 3, 1)], 2)


def _hue_rotation(turns_N: Tensor) -> Tensor:
    """Return matrices (N, 3, 3) that drop the luma of RGB and turn the rest about the grey axis."""
    to_yiq = turns_N.new_tensor([LUMA, I_AXIS, Q_AXIS])
    # Red, yellow, green lie clockwise in the plane of I and Q.
    angle = -2 * math.pi * turns_N
    cosine, sine = angle.cos(), angle.sin()
    turn = torch.stack([cosine, -sine, sine, cosine], 1).view(-1, 2, 2)
    from_yiq: Tensor = torch.linalg.inv(to_yiq)
    return from_yiq[:, 1:] @ turn @ to_yiq[1:]


def solarize(views: Tensor, params: AugmentationParams, config: ViewConfig, which: int) -> Tensor:
    """Invert values of 0.5 and above in the chosen views."""
    if not config.solarize[which]:
        return views
    chosen = params.solarize < config.solarize[which]
    return torch.where(chosen[:, None, None, None] & (views >= 0.5), 1 - views, views)
