"""Displacement fields: (N, 2, H, W), x before y, in pixels of their own grid."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def pixel_grid(field: torch.Tensor) -> torch.Tensor:
    """Return the coordinates (2, H, W) of a field's pixels."""
    height, width = field.shape[-2:]
    y = torch.arange(height, device=field.device, dtype=field.dtype)
    x = torch.arange(width, device=field.device, dtype=field.dtype)
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width)])


def warp(image: torch.Tensor, field: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """Sample `image` (N, C, H, W) at x - field(x): what stood there has moved by `field`."""
    height, width = image.shape[-2:]
    position = pixel_grid(field) - field
    # align_corners=True maps the outer pixels' centres to -1 and 1.
    scale = position.new_tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)])
    grid = position.permute(0, 2, 3, 1) * scale - 1
    return F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=True)


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
    padded = F.pad(field, (1, 1, 1, 1), mode="replicate")
    near = F.unfold(padded, 3).view(n, 2, 9, 1, height, width)
    return F.pixel_shuffle((shares * near).sum(2).flatten(1, 2), 2)


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
    n, channels, height, width = maps.shape
    padded = F.pad(maps, (dilation,) * 4, mode="replicate")
    return F.unfold(padded, 3, dilation).view(n, channels, 9, height, width)
