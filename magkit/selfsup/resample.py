"""Crop, mirror and resize in one warp that is exact to a hundredth of a pixel.

A resize is separable: view = rows @ frame @ columns^T, with a matrix of weights for each view and
direction, few of them other than zero. The weights are those of Pillow's antialiased bilinear
filter, a triangle one view pixel wide to either side, tilted a little: a sampled triangle whose
width is no whole number of pixels shows what lies up to 0.09 px off, which would be noise in
everything that is learnt from displacements.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

STRIPS = 4  # a view's rows and columns are made in so many parts on a CPU: fewer zeros


class Taps(NamedTuple):
    """The weights other than zero: view pixel i is the sum of weights[i, k] source[first[i] + k].

    Shapes: first (N, S) whole numbers, weights (N, S, K). Weights outside the source are zero.
    """

    first: Tensor
    weights: Tensor


def taps(low_N: Tensor, high_N: Tensor, flipped_N: Tensor, size: int, length: int) -> Taps:
    """Return the weights that resample [low, high] of `length` pixels to `size` pixels.

    Args:
        low_N: the part's begin in pixels, 0 or more.
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


def warp(frames: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """Resample frames (N, C, H, W), of any type, to floats (N, C, S, S) of the same range."""
    height, width = frames.shape[2:]
    if frames.device.type == "cpu":
        return _by_strips(frames, _strips(rows, height), _strips(columns, width))
    # Many small products would keep another device waiting: it multiplies zeros as well.
    start = torch.zeros_like(rows.first[:, 0])
    return filtered(frames, _matrix(rows, start, height), _matrix(columns, start, width))


def filtered(frames: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Return down @ frames @ across^T, (N, C, S, S), for frames (N, C, H, W) of any type."""
    count, channels, height, width = frames.shape
    lines = _lines(frames).view(count, height * channels, width)
    wide = (lines @ across.mT).view(count, height, channels * across.shape[1])
    views = (down @ wide).view(count, down.shape[1], channels, across.shape[1])
    return views.transpose(1, 2).contiguous()


def _lines(frames: Tensor) -> Tensor:
    """Return frames (..., C, H, W) as floats (..., H, C, W): a product with each side is one."""
    return frames.transpose(-3, -2).contiguous().float()


class _Strip(NamedTuple):
    """A part of the views' rows or columns, and what of its source each view's is made of."""

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
    """Do as `filtered`, with those pixels alone that a strip of a view shows."""
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
