"""Displacement fields: (N, 2, H, W), x before y, in pixels of their own grid."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

STRIPS = 8  # a picture is warped in so many parts, which threads share


def pixel_grid(field: torch.Tensor) -> torch.Tensor:
    """Return the coordinates (2, H, W) of a field's pixels."""
    height, width = field.shape[-2:]
    y = torch.arange(height, device=field.device, dtype=field.dtype)
    x = torch.arange(width, device=field.device, dtype=field.dtype)
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])


def warp(image: torch.Tensor, field: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """Sample `image` (N, C, H, W) at x - field(x): what stood there has moved by `field`.

    Beyond the border its outer pixels are repeated.
    """
    height, width = image.shape[-2:]
    # align_corners=True maps the outer pixels' centres to -1 and 1.
    across, down = 2 / max(width - 1, 1), 2 / max(height - 1, 1)
    x = torch.arange(width, device=field.device, dtype=field.dtype) * across - 1
    y = torch.arange(height, device=field.device, dtype=field.dtype)[:, None] * down - 1
    x, y = torch.sub(x, field[:, 0], alpha=across), torch.sub(y, field[:, 1], alpha=down)
    return _sample(image, torch.stack([x, y], 3), mode)


def _sample(image: torch.Tensor, grid: torch.Tensor, mode: str) -> torch.Tensor:
    """Call `grid_sample`, a single picture in strips: on a CPU it has one thread a picture."""
    n, channels, height, width = image.shape
    strips = math.gcd(height, STRIPS) if n == 1 else 1
    grid = grid.reshape(n * strips, height // strips, width, 2)
    image = image.expand(n * strips, -1, -1, -1)
    made = F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=True)
    return made.transpose(0, 1).reshape(1, channels, height, width) if strips > 1 else made


def upsample(field: torch.Tensor, times: int) -> torch.Tensor:
    """Enlarge a field bilinearly; the values keep their unit."""
    return F.interpolate(field, scale_factor=times, mode="bilinear", align_corners=False)


def upsample_convex(field: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Double a field's resolution; each new pixel is a mean of the nine nearest old ones.

    Unlike bilinear enlargement this keeps edges sharp. Source: RAFT (Teed & Deng, ECCV 2020), 3.3.

    Args:
        field: (N, 2, h, w).
        weights: logits (N, 36, h, w), nine for each of the four new pixels.

    Returns:
        (N, 2, 2h, 2w), in the unit of `field`.
    """
    n, _, height, width = field.shape
    shares = weights.view(n, 1, 9, 4, height, width).softmax(2)
    near = neighbours(field, 1)[:, :, :, None]
    return F.pixel_shuffle(weighted_sum(near, shares).flatten(1, 2), 2)


def splat(values: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
    """Move every pixel of `values` (N, C, H, W) by `field`, shared bilinearly by four pixels.

    Shares are added up; what leaves the frame is lost. Source: Niklaus & Liu, "Softmax splatting
    for video frame interpolation", CVPR 2020, equation 1.
    """
    n, channels, height, width = values.shape
    position = pixel_grid(field) + field
    corner = position.floor()
    fx, fy = (position - corner).unbind(1)
    x0, y0 = corner.long().unbind(1)
    batch = torch.arange(n, device=values.device)[:, None, None] * (height * width)
    rows = values.permute(0, 2, 3, 1).reshape(-1, channels)
    out = rows.new_zeros(n * height * width, channels)
    for dx, dy, share in (
        (0, 0, (1 - fx) * (1 - fy)),
        (1, 0, fx * (1 - fy)),
        (0, 1, (1 - fx) * fy),
        (1, 1, fx * fy),
    ):
        x, y = x0 + dx, y0 + dy
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        target = batch + y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
        weighted = rows * (share * inside).reshape(-1, 1)
        out = out.scatter_add(0, target.reshape(-1, 1).expand(-1, channels), weighted)
    return out.view(n, height, width, channels).permute(0, 3, 1, 2)


def neighbours(maps: torch.Tensor, dilation: int) -> torch.Tensor:
    """Return each pixel and its eight neighbours `dilation` pixels away, row by row.

    Args:
        maps: (N, C, H, W); beyond the border its outer pixels are repeated.
        dilation: distance of the neighbours in pixels.

    Returns:
        (N, C, 9, H, W).
    """
    height, width = maps.shape[-2:]
    padded = F.pad(maps, (dilation,) * 4, mode="replicate")
    starts = [(i * dilation, j * dilation) for i in range(3) for j in range(3)]
    return torch.stack([padded[..., y : y + height, x : x + width] for y, x in starts], 2)


def weighted_sum(maps: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Return (maps * shares).sum(2) without the large product."""
    total = maps[:, :, 0] * shares[:, :, 0]
    for k in range(1, maps.shape[2]):
        total = torch.addcmul(total, maps[:, :, k], shares[:, :, k])
    return total
