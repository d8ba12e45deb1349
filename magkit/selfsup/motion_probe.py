"""Motion probe: how well an encoder's feature maps tell displacements, without any labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.nn import functional as F

from magkit.errors import MagkitError

DISTANCES = (0.1, 0.25, 0.5, 1.0, 2.0)  # pixels
BORDER = 16  # pixels left out at every side
REGION = 32  # pixels: side of the squares that are pooled
MIN_CELLS = 4  # of a map within the border
MIN_FRAMES = 8
GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))  # between the directions of one frame and the next
ROUNDING = 1e-12  # over a map's own mean square: less is rounding

RIDGES = (1e-3, 1e-2, 0.1, 1.0, 10.0)  # L2 penalties on standardised features
FOLDS = 4
DAMPING = 1e-3  # of a channel's mean energy: without a gradient the displacement is 0

Encode = Callable[[torch.Tensor], Mapping[str, torch.Tensor]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionScores:
    """Scores of one branch; tuples hold one for each of `DISTANCES`.

    A map that ignores the frame has an equivariance of 1, no linearity (0) and no drift.

    Attributes:
        equivariance: squared error of translating the map instead of the frame, over the map's
            variance.
        still: the same of not translating it at all, for comparison.
        linearity: 1 where twice the displacement makes twice the difference.
        cosine: 1 where it makes a difference of the same direction.
        readout: mean absolute error of dx and dy as a ridge regression reads them, pixels.
        readout_mae: its mean over the distances.
        mean_mae: that of always predicting the mean displacement.
        drift: root mean square change of the map by a displacement, relative to the map.
        colour_r2: share of the variance of regions' mean colours that can be read from the map.
    """

    equivariance: tuple[float, ...]
    still: tuple[float, ...]
    linearity: tuple[float, ...]
    cosine: tuple[float, ...]
    readout: tuple[float, ...]
    readout_mae: float
    mean_mae: float
    drift: tuple[float, ...]
    colour_r2: float

    def as_dict(self) -> dict[str, Any]:
        """Return the scores by name, of JSON's types."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def probe_motion(
    encode: Encode, frames_NCHW: torch.Tensor, *, border: int = BORDER
) -> dict[str, MotionScores]:
    """Measure each branch of an encoder.

    Args:
        encode: frames to maps (N, C, h, w), by branch; in the mode in which it is to be measured.
        frames_NCHW: square frames in [0, 1], at least 8, on the encoder's device. Neighbours
            should differ: regressions are fitted to the first half and tested on the second.
        border: pixels that are left out at every side.

    Raises:
        MagkitError: too few frames, or too small ones for a branch's stride.
    """
    count = len(frames_NCHW)
    if count < MIN_FRAMES:
        raise MagkitError(f"the motion probe needs {MIN_FRAMES} frames, and there are {count}")
    angles = GOLDEN_ANGLE * torch.arange(count, dtype=torch.float64)
    units_N2 = torch.stack([angles.cos(), angles.sin()], 1)
    distances = sorted({0.0, *DISTANCES, *(2 * d for d in DISTANCES)})
    with torch.no_grad():
        encoded = {d: encode(translate_maps(frames_NCHW, d * units_N2)) for d in distances}
        frames = frames_NCHW.cpu().double()  # not every device knows double precision
        return {
            branch: _scores(
                {d: maps[branch].cpu().double() for d, maps in encoded.items()},
                frames,
                units_N2,
                border,
            )
            for branch in encoded[0.0]
        }


def min_size(stride: int) -> int:
    """Return the minimum side of frames, in pixels, for measuring maps of a stride."""
    return MIN_CELLS * stride + 2 * stride * math.ceil(BORDER / stride)


def _scores(
    maps: dict[float, torch.Tensor],
    frames_NCHW: torch.Tensor,
    units_N2: torch.Tensor,
    border: int,
) -> MotionScores:
    size = frames_NCHW.shape[-1]
    stride = size / maps[0.0].shape[-1]
    inside = {d: _inside(m, border / stride) for d, m in maps.items()}
    start = inside[0.0]
    cells = start.shape[-1]
    if cells < MIN_CELLS:
        raise MagkitError(
            f"frames of {size} pixels are too small to judge a map of stride {stride:g}",
            f"the minimum is {min_size(math.ceil(stride))} pixels",
        )
    regions = max(1, min((size - 2 * border) // REGION, cells // MIN_CELLS))
    rows, estimates = [], []
    for d in DISTANCES:
        translated = _inside(translate_maps(maps[0.0], units_N2 * (d / stride)), border / stride)
        rows.append(_differences(start, inside[d], inside[2 * d], translated))
        estimates.append(displacements(start, inside[d], regions) * stride)
    equivariance, still, linearity, cosine, drift = zip(*rows, strict=True)
    truth_DN2 = torch.tensor(DISTANCES, dtype=torch.float64)[:, None, None] * units_N2
    errors, mean_mae = readout_errors(torch.stack(estimates), truth_DN2)
    colours = pooled(_inside(frames_NCHW, border), regions)
    return MotionScores(
        equivariance=equivariance,
        still=still,
        linearity=linearity,
        cosine=cosine,
        readout=tuple(errors),
        readout_mae=sum(errors) / len(errors),
        mean_mae=mean_mae,
        drift=drift,
        colour_r2=explained_variance(pooled(start, regions), colours),
    )


def _differences(
    start: torch.Tensor, moved: torch.Tensor, further: torch.Tensor, translated: torch.Tensor
) -> tuple[float, float, float, float, float]:
    """Return equivariance, still, linearity, cosine and drift at one displacement."""
    scale = start.square().mean().item()
    variance = (start - start.mean((0, 2, 3), keepdim=True)).square().mean().item()
    one, two = moved - start, further - start
    error, once, twice = (x.square().mean().item() for x in (moved - translated, one, two))
    return (
        _ratio(error, variance, scale, otherwise=1.0),
        _ratio(once, variance, scale, otherwise=1.0),
        _ratio(twice, 4 * once, scale) ** 0.5,
        _ratio((one * two).mean().item(), (once * twice) ** 0.5, scale),
        _ratio(once, scale, scale) ** 0.5,
    )


def _inside(maps_NCHW: torch.Tensor, border: float) -> torch.Tensor:
    height, width = maps_NCHW.shape[-2:]
    out = math.ceil(border)
    return maps_NCHW[:, :, out : height - out, out : width - out]


def _ratio(part: float, whole: float, scale: float, otherwise: float = 0.0) -> float:
    return part / whole if whole > ROUNDING * scale else otherwise


def translate_maps(maps_NCHW: torch.Tensor, distances_N2: torch.Tensor) -> torch.Tensor:
    """Translate each map by (x, y) samples, to the right and downwards; fractions are exact."""
    height, width = maps_NCHW.shape[-2:]
    across = translation_matrices(width, distances_N2[:, 0]).to(maps_NCHW)
    down = translation_matrices(height, distances_N2[:, 1]).to(maps_NCHW)
    return down[:, None] @ maps_NCHW @ across[:, None].mT


def translation_matrices(size: int, distances_N: torch.Tensor) -> torch.Tensor:
    """Return the matrices (N, size, size) that translate signals: float64, on the CPU.

    The signal continues as its mirror image, so that its ends meet: the cosine series through its
    samples (DCT-II) is evaluated at n - d. Exact for what that series holds below its highest
    frequency; towards the ends, what comes in is the mirror image.

    Args:
        size: number of samples.
        distances_N: displacements in samples, towards higher indices.
    """
    identity = torch.eye(size, dtype=torch.float64)
    spectrum = torch.fft.rfft(torch.cat([identity, identity.flip(0)]), dim=0)
    angles = torch.pi / size * torch.arange(size + 1, dtype=identity.dtype)
    turned = torch.exp(-1j * angles * distances_N.cpu().double()[:, None])[:, :, None] * spectrum
    matrices: torch.Tensor = torch.fft.irfft(turned, n=2 * size, dim=1)[:, :size]
    return matrices


def displacements(before: torch.Tensor, after: torch.Tensor, regions: int) -> torch.Tensor:
    """Estimate the displacement from each channel, by least squares on its gradient.

    Args:
        before: a map (N, C, h, w).
        after: that of the displaced frame.
        regions: number of regions along a side.

    Returns:
        (N, C + 1, regions, regions, 2), x before y, in cells; the last "channel" is the joint
        estimate of all of them.
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
    # A channel that is dead divides 0 by 0.
    return (solved / (xx * yy - xy * xy)[..., None]).nan_to_num(0.0, 0.0, 0.0)


def _with_sum(parts: torch.Tensor) -> torch.Tensor:
    return torch.cat([parts, parts.sum(1, keepdim=True)], 1)


def pooled(maps_NCHW: torch.Tensor, regions: int) -> torch.Tensor:
    """Return the means (N, C, regions, regions)."""
    return F.adaptive_avg_pool2d(maps_NCHW, regions)


def readout_errors(estimates: torch.Tensor, truth_DN2: torch.Tensor) -> tuple[list[float], float]:
    """Regress displacements on the channels' estimates, and test the regression.

    Args:
        estimates: (D, N, C, regions, regions, 2), of D displacements of N frames.
        truth_DN2: the true displacements.

    Returns:
        The mean absolute errors of x and y for each of the D, and that of the mean of the fitted
        displacements over all.
    """
    features = estimates.permute(1, 0, 3, 4, 2, 5).flatten(2, 3).flatten(3)  # N, D, regions, C
    truth = truth_DN2.transpose(0, 1)[:, :, None].expand(-1, -1, features.shape[2], -1)
    read, mean, test = ridge_regression(features.flatten(1, 2), truth.flatten(1, 2))
    errors = (read - test).abs().reshape(len(read), len(truth_DN2), -1).mean((0, 2))
    return errors.tolist(), (mean - test).abs().mean().item()


def explained_variance(features: torch.Tensor, targets: torch.Tensor) -> float:
    """Return the share of the targets' variance (R^2) that a regression on features explains.

    Both are means of regions, (N, channels, regions, regions). No more than 1; 0 where the mean
    would have been as good, or targets are all alike.
    """
    flat = (t.permute(0, 2, 3, 1).flatten(1, 2) for t in (features, targets))
    read, mean, test = ridge_regression(*flat)
    total = (mean - test).square().sum()
    return (1 - (read - test).square().sum() / total).item() if total > 0 else 0.0


def ridge_regression(
    features_NSF: torch.Tensor, targets_NST: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Fit a ridge regression to the samples of the first half of the frames.

    The penalty is chosen by cross-validation in four folds of these frames.

    Args:
        features_NSF: S samples of each of N frames, at least 8.
        targets_NST: the values to predict.

    Returns:
        Of the other frames: predictions (N - N // 2, S, T), the mean of the fitted targets (T,),
        and the true targets.
    """
    half = len(features_NSF) // 2
    x, y = features_NSF[:half], targets_NST[:half]
    errors = torch.zeros(len(RIDGES), dtype=torch.float64)
    for fold in range(FOLDS):
        left = torch.arange(half) % FOLDS == fold
        reads = _ridge_predictions(x[~left].flatten(0, 1), y[~left].flatten(0, 1), x[left])
        errors += torch.stack([(read - y[left]).square().sum().cpu() for read in reads])
    reads = _ridge_predictions(x.flatten(0, 1), y.flatten(0, 1), features_NSF[half:])
    return reads[int(errors.argmin())], y.mean((0, 1)), targets_NST[half:]


def _ridge_predictions(
    x: torch.Tensor, y: torch.Tensor, others: torch.Tensor
) -> list[torch.Tensor]:
    """Fit y (n, T) to standardised x (n, F) with each penalty, and predict others (..., F)."""
    centre, mean, deviation = x.mean(0), y.mean(0), x.std(0, correction=0)
    scale = torch.where(deviation > 0, 1 / deviation, 0.0)
    x = (x - centre) * scale
    values, vectors = torch.linalg.eigh(x.mT @ x / len(x))
    turned = vectors.mT @ (x.mT @ (y - mean) / len(x))
    rotated = (others - centre) * scale @ vectors
    return [rotated @ (turned / (values.clamp(min=0) + ridge)[:, None]) + mean for ridge in RIDGES]
