"""What ridge regressions read out of maps: displacements and colours, region by region.

Regressions are fitted on the first half of the frames and judged on the second.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

SHRUNK = (1e-3, 1e-2, 0.1, 1.0, 10.0)  # what is added to standardised features' variances
FOLDS = 4
DAMPING = 1e-3  # of a channel's mean energy: where nothing is seen, nothing moves


def displacements(before: torch.Tensor, after: torch.Tensor, regions: int) -> torch.Tensor:
    """Return what each channel takes the displacement for, by least squares on its gradient.

    Args:
        before: a map (N, C, h, w).
        after: that of the displaced frame.
        regions: how many there are along a side.

    Returns:
        (N, C + 1, regions, regions, 2), x before y, in cells; the last "channel" is what all of
        them say together.
    """
    middle = (before + after) / 2
    x = (middle[:, :, 1:-1, 2:] - middle[:, :, 1:-1, :-2]) / 2
    y = (middle[:, :, 2:, 1:-1] - middle[:, :, :-2, 1:-1]) / 2
    change = (before - after)[:, :, 1:-1, 1:-1]
    parts = (x * x, x * y, y * y, x * change, y * change)
    xx, xy, yy, xt, yt = (_with_sum(pooled(part, regions)) for part in parts)
    damping = DAMPING * (xx + yy).mean((0, 2, 3), keepdim=True) / 2
    xx, yy = xx + damping, yy + damping
    solved = torch.stack([yy * xt - xy * yt, xx * yt - xy * xt], -1)
    # A channel that is dead divides nought by nought.
    return (solved / (xx * yy - xy * xy)[..., None]).nan_to_num(0.0, 0.0, 0.0)


def _with_sum(parts: torch.Tensor) -> torch.Tensor:
    return torch.cat([parts, parts.sum(1, keepdim=True)], 1)


def pooled(maps_NCHW: torch.Tensor, regions: int) -> torch.Tensor:
    """Return the means (N, C, regions, regions)."""
    return F.adaptive_avg_pool2d(maps_NCHW, regions)


def read_displacement(guesses: torch.Tensor, truth_DN2: torch.Tensor) -> tuple[list[float], float]:
    """Fit displacements to channels' guesses, and judge.

    Args:
        guesses: (D, N, C, regions, regions, 2), of D displacements of N frames.
        truth_DN2: what they were.

    Returns:
        The mean errors of x and y for each of the D, and that of the fitted mean over all.
    """
    features = guesses.permute(1, 0, 3, 4, 2, 5).flatten(2, 3).flatten(3)  # N, D, regions, C
    truth = truth_DN2.transpose(0, 1)[:, :, None].expand(-1, -1, features.shape[2], -1)
    read, mean, judged = read_out(features.flatten(1, 2), truth.flatten(1, 2))
    errors = (read - judged).abs().reshape(len(read), len(truth_DN2), -1).mean((0, 2))
    return errors.tolist(), (mean - judged).abs().mean().item()


def explained(features: torch.Tensor, targets: torch.Tensor) -> float:
    """Return the share of the targets' variance (R^2) that is read out of features.

    Both are means of regions, (N, channels, regions, regions). No more than 1; 0 where the mean
    would have been as good, or targets are all alike.
    """
    flat = (t.permute(0, 2, 3, 1).flatten(1, 2) for t in (features, targets))
    read, mean, judged = read_out(*flat)
    spread = (mean - judged).square().sum()
    return (1 - (read - judged).square().sum() / spread).item() if spread > 0 else 0.0


def read_out(
    features_NSF: torch.Tensor, targets_NST: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Fit a ridge regression to the samples of the first half of the frames.

    How much it is shrunk is chosen by leaving out a quarter of these frames in turn.

    Args:
        features_NSF: S samples of each of N frames, at least 8.
        targets_NST: what is to be read out of them.

    Returns:
        Of the other frames: what is read out (N - N // 2, S, T), what the mean of the fitted
        targets (T,) would be, and what is true.
    """
    half = len(features_NSF) // 2
    x, y = features_NSF[:half], targets_NST[:half]
    wrong = torch.zeros(len(SHRUNK), dtype=torch.float64)
    for fold in range(FOLDS):
        left = torch.arange(half) % FOLDS == fold
        reads = _ridges(x[~left].flatten(0, 1), y[~left].flatten(0, 1), x[left])
        wrong += torch.stack([(read - y[left]).square().sum().cpu() for read in reads])
    every = _ridges(x.flatten(0, 1), y.flatten(0, 1), features_NSF[half:])
    return every[int(wrong.argmin())], y.mean((0, 1)), targets_NST[half:]


def _ridges(x: torch.Tensor, y: torch.Tensor, asked: torch.Tensor) -> list[torch.Tensor]:
    """Regressions of y (n, T) on standardised x (n, F), and what they say of others (..., F)."""
    centre, mean, deviation = x.mean(0), y.mean(0), x.std(0, correction=0)
    scale = torch.where(deviation > 0, 1 / deviation, 0.0)
    x = (x - centre) * scale
    values, vectors = torch.linalg.eigh(x.mT @ x / len(x))
    turned = vectors.mT @ (x.mT @ (y - mean) / len(x))
    seen = (asked - centre) * scale @ vectors
    return [seen @ (turned / (values.clamp(min=0) + ridge)[:, None]) + mean for ridge in SHRUNK]
