"""Texture and folds of magnified real clips, measured without any truth."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from magkit.errors import MagkitError
from magkit.magnify.band import Band, Mode
from magkit.magnify.pipeline import magnify
from magkit.protocols import DisplacementMagnifier, Magnifier
from magkit.video import Frame

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
TEXTURE_RANGE = (0.85, 1.15)  # texture ratios of frames that are neither torn nor blurred


@dataclass(frozen=True, slots=True)
class WholeFrame:
    """A frame before and after magnification.

    Attributes:
        before, after: (H, W, 3).
        texture: ratio of `texture` after to before; 1 if neither has any.
        folds: share of the picture where the displacement field folds over (`fold_share`);
            None for a magnifier whose motion is no displacement field.
    """

    before: Frame
    after: Frame
    texture: float
    folds: float | None


def texture(frame: Frame) -> float:
    """Return the mean absolute second difference of luma along x and y, in grey levels."""
    luma = frame.astype(np.float32) @ LUMA
    return float(np.mean([np.abs(np.diff(luma, 2, axis)).mean() for axis in (0, 1)]))


def fold_share(displacement: NDArray[np.floating[Any]], cell: float) -> float:
    """Return the share of the picture where x -> x + displacement has a negative determinant.

    The map is taken to be linear in the two triangles of every square of four neighbouring cells.

    Args:
        displacement: x and y in pixels, (2, h, w).
        cell: distance of neighbouring cells in pixels.
    """
    down, across = (np.diff(displacement, axis=axis) / cell for axis in (1, 2))
    corners = ((down[..., :-1], across[:, :-1]), (down[..., 1:], across[:, 1:]))
    return float(np.mean([_determinant(y, x) < 0 for y, x in corners]))


def _determinant(
    down: NDArray[np.floating[Any]], across: NDArray[np.floating[Any]]
) -> NDArray[np.floating[Any]]:
    """Return that of the identity plus derivatives (2, h, w) along y and x."""
    product: NDArray[np.floating[Any]] = (1 + across[0]) * (1 + down[1]) - across[1] * down[0]
    return product


class _Observed:
    """A magnifier that notes the share of folds of the field that it renders."""

    def __init__(self, magnifier: Magnifier) -> None:
        self._magnifier = magnifier
        self.stride = magnifier.stride
        self.encode, self.motion = magnifier.encode, magnifier.motion
        self.still: float | None = None  # of a frame that is not rendered
        if isinstance(magnifier, DisplacementMagnifier):
            self.cell, self.average = magnifier.cell, magnifier.average
            self.displacement = magnifier.displacement
            self.still = 0.0
        self.folds = self.still

    def render(self, current: Any, motion: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        frames = self._magnifier.render(current, motion, factor)
        if self.still is not None:
            added = (motion * (factor - 1).view(-1, 1, 1, 1))[0]
            self.folds = fold_share(added.float().cpu().numpy(), self.cell)
        return frames


def magnify_whole(
    frames: Iterable[Frame],
    magnifier: Magnifier,
    factor: float,
    *,
    mode: Mode = "static",
    band: Band | Sequence[Band] | None = None,
    rate: float | None = None,
    times: Sequence[float] | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[WholeFrame]:
    """Magnify frames and yield the texture ratio and the share of folds of each.

    Arguments and errors are those of `magnify`. What is folded is the displacement that is added to
    the frame's own: (factor - 1) times the motion handed to `Magnifier.render`.
    """
    observed = _Observed(magnifier)
    source, copy = itertools.tee(frames)
    made = magnify(
        source, observed, factor, mode=mode, band=band, rate=rate, times=times, device=device
    )
    for before, after in zip(copy, made, strict=True):
        yield WholeFrame(before, after, _ratio(texture(after), texture(before)), observed.folds)
        observed.folds = observed.still


def summarize_whole(frames: Iterable[WholeFrame]) -> dict[str, Any]:
    """Summarise the figures of a clip's frames.

    Returns:
        texture: lowest, median and highest ratio as "min", "median" and "max"; outside: the share
        of frames whose ratio is outside `TEXTURE_RANGE`; folds: mean and greatest share as "mean"
        and "max", None without any; frames: texture and folds of each.

    Raises:
        MagkitError: there are no frames.
    """
    rows = [(frame.texture, frame.folds) for frame in frames]
    if not rows:
        raise MagkitError("the clip has no frames")
    ratios, folds = [row[0] for row in rows], [row[1] for row in rows if row[1] is not None]
    low, high = TEXTURE_RANGE
    return {
        "texture": {"min": min(ratios), "median": median(ratios), "max": max(ratios)},
        "outside": fmean(not low <= ratio <= high for ratio in ratios),
        "folds": {"mean": fmean(folds), "max": max(folds)} if folds else None,
        "frames": [{"texture": ratio, "folds": share} for ratio, share in rows],
    }


def _ratio(after: float, before: float) -> float:
    if before > 0:
        return after / before
    return float("inf") if after > 0 else 1.0
