"""Displacement in the Fourier domain, without wrapping round: for measuring, not for training."""

from __future__ import annotations

import torch


def shift_matrices(size: int, distances_N: torch.Tensor) -> torch.Tensor:
    """Return the matrices (N, size, size) that displace signals: float64, on the CPU.

    The signal goes on as its mirror image, so that its ends meet: the cosine series through its
    samples (DCT-II) is evaluated at n - d. Exact for what that series holds below its highest
    frequency; towards the ends, what comes in is the mirror image.

    Args:
        size: number of samples.
        distances_N: displacements in samples, towards higher indices.
    """
    whole = torch.eye(size, dtype=torch.float64)
    spectrum = torch.fft.rfft(torch.cat([whole, whole.flip(0)]), dim=0)
    angles = torch.pi / size * torch.arange(size + 1, dtype=whole.dtype)
    turned = torch.exp(-1j * angles * distances_N.cpu().double()[:, None])[:, :, None] * spectrum
    moved: torch.Tensor = torch.fft.irfft(turned, n=2 * size, dim=1)[:, :size]
    return moved


def shift(maps_NCHW: torch.Tensor, distances_N2: torch.Tensor) -> torch.Tensor:
    """Displace each map by (x, y) samples, to the right and downwards."""
    height, width = maps_NCHW.shape[-2:]
    across = shift_matrices(width, distances_N2[:, 0]).to(maps_NCHW)
    down = shift_matrices(height, distances_N2[:, 1]).to(maps_NCHW)
    return down[:, None] @ maps_NCHW @ across[:, None].mT
