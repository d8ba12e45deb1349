"""Motion fitness: what an encoder's maps are worth for magnifying motion, without any labels.

Frames are displaced by fractions of a pixel, exactly (each in a direction of its own), and encoded
anew. What is asked of a map f, d the displacement, s its stride, T that displacement of the map:

    equivariance  |f(x_d) - T f(x)|^2 / |f - mean|^2               does the map move with the frame?
    linearity     |f(x_2d) - f(x)| / (2 |f(x_d) - f(x)|), and the cosine of both differences:
                  the magnifier multiplies that difference
    read-out      how well a ridge regression reads d out of pooled differences
    drift         |f(x_d) - f(x)| / |f|
    colour        how well a ridge regression reads the mean colour out of pooled features

A difference alone does not tell the displacement: an edge from dark to light and one from light to
dark, displaced alike, differ by opposite signs, and the mean over a region is nought. The read-out
is therefore given what a decoder has as well, the map itself: in each region, the displacement that
each channel's difference means by its own gradient (least squares as of Lucas & Kanade, IJCAI
1981). It is linear in the difference, its unit is the pixel, and the texture cancels. The
regression, fitted on half of the frames and judged on the others, decides whom to believe.

The border is left out of all of it: what comes in there is no content, and encoders pad.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch

from magkit.errors import MagkitError
from magkit.selfsup.readout import displacements, explained, pooled, read_displacement
from magkit.selfsup.shift import shift

Encode = Callable[[torch.Tensor], Mapping[str, torch.Tensor]]

DISTANCES = (0.1, 0.25, 0.5, 1.0, 2.0)  # pixels
BORDER = 16  # pixels left out at every side
REGION = 32  # pixels: side of the squares that are pooled
LEAST_CELLS = 4  # of a map within the border
LEAST_FRAMES = 8
GOLDEN = math.pi * (3 - math.sqrt(5))  # angle between the directions of one frame and the next
NOTHING = 1e-12  # over a map's own mean square: less is rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitness:
    """The figures of one branch; tuples hold one for each of `DISTANCES`.

    A map that ignores the frame has an equivariance of 1, no linearity (0) and no drift.

    Attributes:
        equivariance: error of moving the map instead of the frame, over the map's variance.
        still: the same of not moving it at all, to compare with.
        linearity: 1 where twice the displacement makes twice the difference.
        cosine: 1 where it makes a difference of the same direction.
        readout: mean error of dx and dy as they are read out, pixels.
        readout_mae: its mean over the distances.
        mean_mae: that of predicting the mean displacement always.
        drift: how much of the map a displacement changes.
        colour_r2: share of the variance of regions' mean colours that can be read out.
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
        """Return the figures by name, of JSON's types."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def motion_fitness(
    encode: Encode, frames_NCHW: torch.Tensor, *, border: int = BORDER
) -> dict[str, Fitness]:
    """Measure each branch of an encoder.

    Args:
        encode: frames to maps (N, C, h, w), by branch; in the mode in which it is to be judged.
        frames_NCHW: square frames in [0, 1], at least 8, on the encoder's device. Neighbours
            should differ: the first half is fitted to, the second judged on.
        border: pixels that are left out at every side.

    Raises:
        MagkitError: too few frames, or too small ones for a branch's stride.
    """
    count = len(frames_NCHW)
    if count < LEAST_FRAMES:
        raise MagkitError(f"motion fitness needs {LEAST_FRAMES} frames, and there are {count}")
    angles = GOLDEN * torch.arange(count, dtype=torch.float64)
    units_N2 = torch.stack([angles.cos(), angles.sin()], 1)
    distances = sorted({0.0, *DISTANCES, *(2 * d for d in DISTANCES)})
    with torch.no_grad():
        seen = {d: encode(shift(frames_NCHW, d * units_N2)) for d in distances}
        frames = frames_NCHW.cpu().double()  # not every device knows double precision
        return {
            branch: _fitness(
                {d: maps[branch].cpu().double() for d, maps in seen.items()},
                frames,
                units_N2,
                border,
            )
            for branch in seen[0.0]
        }


def least_size(stride: int) -> int:
    """Return the least side of frames, in pixels, on which maps of a stride can be judged."""
    return LEAST_CELLS * stride + 2 * stride * math.ceil(BORDER / stride)


def _fitness(
    maps: dict[float, torch.Tensor],
    frames_NCHW: torch.Tensor,
    units_N2: torch.Tensor,
    border: int,
) -> Fitness:
    size = frames_NCHW.shape[-1]
    stride = size / maps[0.0].shape[-1]
    inside = {d: _inside(m, border / stride) for d, m in maps.items()}
    start = inside[0.0]
    cells = start.shape[-1]
    if cells < LEAST_CELLS:
        raise MagkitError(
            f"frames of {size} pixels are too small to judge a map of stride {stride:g}",
            f"it takes {least_size(math.ceil(stride))} pixels",
        )
    regions = max(1, min((size - 2 * border) // REGION, cells // LEAST_CELLS))
    rows, guesses = [], []
    for d in DISTANCES:
        carried = _inside(shift(maps[0.0], units_N2 * (d / stride)), border / stride)
        rows.append(_differences(start, inside[d], inside[2 * d], carried))
        guesses.append(displacements(start, inside[d], regions) * stride)
    equivariance, still, linearity, cosine, drift = zip(*rows, strict=True)
    truth_DN2 = torch.tensor(DISTANCES, dtype=torch.float64)[:, None, None] * units_N2
    errors, mean_mae = read_displacement(torch.stack(guesses), truth_DN2)
    colours = pooled(_inside(frames_NCHW, border), regions)
    return Fitness(
        equivariance=equivariance,
        still=still,
        linearity=linearity,
        cosine=cosine,
        readout=tuple(errors),
        readout_mae=sum(errors) / len(errors),
        mean_mae=mean_mae,
        drift=drift,
        colour_r2=explained(pooled(start, regions), colours),
    )


def _differences(
    start: torch.Tensor, moved: torch.Tensor, further: torch.Tensor, carried: torch.Tensor
) -> tuple[float, float, float, float, float]:
    """Return equivariance, still, linearity, cosine and drift at one displacement."""
    scale = start.square().mean().item()
    variance = (start - start.mean((0, 2, 3), keepdim=True)).square().mean().item()
    one, two = moved - start, further - start
    away, once, twice = (x.square().mean().item() for x in (moved - carried, one, two))
    return (
        _over(away, variance, scale, otherwise=1.0),
        _over(once, variance, scale, otherwise=1.0),
        _over(twice, 4 * once, scale) ** 0.5,
        _over((one * two).mean().item(), (once * twice) ** 0.5, scale),
        _over(once, scale, scale) ** 0.5,
    )


def _inside(maps_NCHW: torch.Tensor, border: float) -> torch.Tensor:
    height, width = maps_NCHW.shape[-2:]
    out = math.ceil(border)
    return maps_NCHW[:, :, out : height - out, out : width - out]


def _over(part: float, whole: float, scale: float, otherwise: float = 0.0) -> float:
    return part / whole if whole > NOTHING * scale else otherwise
