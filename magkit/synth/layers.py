"""Texels of backgrounds and objects, displaced by less than a pixel and composited."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from magkit.synth.records import Layer, Scene
from magkit.synth.sources import Cutouts, Pictures, resize

BORDER = 4  # empty texels around an object: the spline reaches two beyond it, displaced one more
BLUR = 4.0  # pixels: standard deviation of a low-contrast background's blur


def spline_taps(fractions: torch.Tensor) -> torch.Tensor:
    """Return the weights (N, 5) that displace by `fractions` (N,) in [0, 1) pixels.

    out[n] = sum_j taps[j] * texel[n + 2 - j]; they sum to one. Source: Unser, "Splines: a perfect
    fit for signal and image processing", 1999, equation 4 with n = 3.
    """
    # A cubic B-spline covers four samples; with a fifth any fraction has the same first sample.
    offsets = torch.arange(-2, 3, device=fractions.device, dtype=fractions.dtype)
    distance = (offsets[None] - fractions[:, None]).abs()
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - distance).clamp(min=0) ** 3 / 6
    return torch.where(distance < 1, near, far)


def displace(layers: torch.Tensor, dx: torch.Tensor, dy: torch.Tensor) -> torch.Tensor:
    """Sample layers at displacements of less than a pixel.

    Args:
        layers: texels (N, C, h, w).
        dx: displacement to the right in pixels, in [0, 1), (N,).
        dy: displacement downwards, likewise.

    Returns:
        Samples (N, C, h - 4, w - 4): two texels are used up at every side.
    """
    # Sums of shifted copies: two to three times as fast as grouped convolutions on a CPU.
    across, down = (spline_taps(d).to(layers).flip(1) for d in (dx, dy))
    return _filter(_filter(layers, across, 3), down, 2)


def _filter(layers: torch.Tensor, taps: torch.Tensor, dim: int) -> torch.Tensor:
    """Correlate (N, C, h, w) with each layer's own taps (N, k) along one dimension."""
    weights = taps[:, :, None, None, None].unbind(1)
    size = layers.shape[dim] - len(weights) + 1
    out = layers.narrow(dim, 0, size) * weights[0]
    for offset, weight in enumerate(weights[1:], 1):
        out.addcmul_(layers.narrow(dim, offset, size), weight)
    return out


def sharpen(image: torch.Tensor) -> torch.Tensor:
    """Undo most of the spline's blur: (C, h, w) -> the same size.

    The first term of the inverse of the spline's samples [1, 4, 1] / 6, which is [-1, 8, -1] / 6.
    """
    for dim in (2, 1):
        size = image.shape[dim]
        first, last = image.narrow(dim, 0, 1), image.narrow(dim, size - 1, 1)
        padded = torch.cat([first, image, last], dim)
        beside = padded.narrow(dim, 0, size) + padded.narrow(dim, 2, size)
        image = (image * (8 / 6)).sub_(beside, alpha=1 / 6)
    return image


def blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur (C, h, w) with a Gaussian of `sigma` pixels, the border repeated."""
    reach = int(3 * sigma + 0.5)
    taps = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
    taps = torch.exp(-(taps**2) / (2 * sigma**2))
    taps = taps / taps.sum()
    padded = F.pad(image[:, None], (reach,) * 4, mode="replicate")
    # Five times as fast as a convolution of one channel, and of the same bits.
    each = taps[None].expand(len(image), -1)
    return _filter(_filter(padded, each, 3), each, 2)[:, 0]


def background_texels(
    scene: Scene, side: int, pictures: Pictures, device: torch.device | str
) -> torch.Tensor:
    """Return a background's texels (3, side, side)."""
    picture = pictures.picture(scene.background)
    height, width = picture.shape[-2:]
    window = int(min(side * scene.zoom, height, width))
    x0, y0 = int(scene.corner[0] * (width - window)), int(scene.corner[1] * (height - window))
    cut = picture[:, y0 : y0 + window, x0 : x0 + window].to(device).float() / 255
    texels = resize(cut, side, side)
    if scene.flip:
        texels = texels.flip(-1)
    if scene.kind == "low-contrast":
        return blur(texels, BLUR)
    return sharpen(texels).clamp(0, 1)


def object_texels(layer: Layer, cutouts: Cutouts, device: torch.device | str) -> torch.Tensor:
    """Return an object's premultiplied RGBA texels with an empty border of `BORDER`."""
    rgba = cutouts.cutout(layer.number, layer.extent).to(device)
    if layer.flip:
        rgba = rgba.flip(-1)
    colour, alpha = sharpen(rgba[:3]).clamp(0, 1), rgba[3:]
    return F.pad(torch.cat([colour * alpha, alpha]), (BORDER,) * 4)


def composite(
    canvas: torch.Tensor,
    truth: torch.Tensor,
    samples: torch.Tensor,
    corners: Sequence[tuple[int, int]],
    values: torch.Tensor,
) -> None:
    """Composite an object on the frames (G, 3, H, W) of its scene and on their ground truth.

    Args:
        canvas: the frames, changed in place.
        truth: of each frame the motion (x, y) and whether it moves, likewise.
        samples: the object in each frame, premultiplied RGBA (G, 4, h, w).
        corners: (x, y) of the samples' upper left corner in each frame.
        values: the object's truth, (G, 3, h, w), or (G, 3, 1, 1) where it is the same everywhere.
    """
    height, width = canvas.shape[-2:]
    values = values.expand(-1, -1, *samples.shape[-2:])
    for g, (left, top) in enumerate(corners):
        y0, y1 = max(top, 0), min(top + samples.shape[-2], height)
        x0, x1 = max(left, 0), min(left + samples.shape[-1], width)
        if y0 >= y1 or x0 >= x1:
            continue
        part = samples[g, :, y0 - top : y1 - top, x0 - left : x1 - left]
        value = values[g, :, y0 - top : y1 - top, x0 - left : x1 - left]
        alpha = part[3:]
        canvas[g, :, y0:y1, x0:x1].mul_(1 - alpha).add_(part[:3])
        truth[g, :, y0:y1, x0:x1].lerp_(value, alpha)
