"""Block matching: displacements of many pixels, out of reach of least squares."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional as F

from magkit.magnify.lucas_kanade import CELL, backward_warp, upsample

COARSE = 3  # pyramid level of the exhaustive search
RADIUS = 8  # pixels of that level, of the search: 64 pixels of the frame
WINDOW = 7  # pixels, at every level: side of the blocks
MEAN = 9  # pixels, at every level: window of the mean colour that is subtracted
NEAR = 3  # pixels: distance of the neighbours whose displacements a finer level tries too
BETTER = 0.8  # a match replaces a guess if it leaves less than this share of the guess's error
UNEXPLAINED = 0.5  # share of the change between frames that a good guess doesn't leave
UNRELATED = 0.25  # share of the texture that is left at least where frames show different things
NOISE = (1.5 / 255) ** 2  # mean square of changes that need no explanation


def residual(reference: torch.Tensor, current: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
    """Return the mean square difference around each cell, after compensation of a displacement.

    Args:
        reference: details of the halved frame A, (N, 1, H/2, W/2); see `lucas_kanade.pyramid`.
        current: those of frame B.
        field: displacement from A to B in pixels of the frame, (N, 2, H/4, W/4).

    Returns:
        (N, 1, H/4, W/4), means over 3 x 3 cells.
    """
    moved = backward_warp(reference, upsample(field / 2, CELL // 2))
    return _power(current - moved)


def _power(details: torch.Tensor) -> torch.Tensor:
    """Return the mean square of a halved frame's pixels (N, 1, H/2, W/2) around each cell."""
    return around(F.avg_pool2d(details.square(), CELL // 2), 3)


class Compensation(NamedTuple):
    """What a displacement leaves of the change around each cell, mean squares (N, 1, H/4, W/4)."""

    left: torch.Tensor  # see `residual`
    change: torch.Tensor  # the same without compensation
    texture: torch.Tensor  # of frame B


def compensate(reference: torch.Tensor, current: torch.Tensor, field: torch.Tensor) -> Compensation:
    """Compensate a displacement; arguments are those of `residual`."""
    left = residual(reference, current, field)
    return Compensation(left, _power(current - reference), _power(current))


def around(maps: torch.Tensor, window: int) -> torch.Tensor:
    """Return the mean over a square window, at the border over what lies inside."""
    return F.avg_pool2d(maps, window, 1, window // 2, count_include_pad=False)


def kth_smallest(rows_NM: torch.Tensor, k: int) -> torch.Tensor:
    """Return the k-th smallest value of each row, (N,); k counts from 1."""
    if torch.compiler.is_exporting():  # ONNX has no such operator
        return rows_NM.sort(1).values[:, k - 1]
    return rows_NM.kthvalue(k).values


def unexplained(found: Compensation) -> torch.Tensor:
    """Return which pairs of frames have cells whose change a displacement leaves, (N,).

    Noise is what is left in the tenth of the cells with the least.
    """
    left, change, texture = found
    with torch.no_grad():
        flat = left.flatten(1)
        noise = NOISE + 2 * kth_smallest(flat, flat.shape[1] // 10 + 1).view(-1, 1, 1, 1)
        # Interpolation leaves a part of small changes, but far less than the texture.
        allowed = torch.maximum(UNEXPLAINED * change, UNRELATED * texture) + noise
        lost: torch.Tensor = (left.minimum(change) > allowed).flatten(1).any(1)
    return lost


def better_guess(
    guess: torch.Tensor,
    field: torch.Tensor,
    matched: torch.Tensor,
    details: tuple[torch.Tensor, torch.Tensor],
    pairs: torch.Tensor,
) -> torch.Tensor:
    """Replace a guessed displacement where a match explains more than what became of the guess.

    Args:
        guess: pixels, (N, 2, H/4, W/4).
        field: displacement that was found from the guess.
        matched: displacement to try, see `match`.
        details: the frames, see `residual`.
        pairs: those in which guesses may be replaced, booleans (N,).
    """
    with torch.no_grad():
        left, rest = (around(residual(*details, d), 5) for d in (field, matched))
        better = (rest < BETTER * left) & pairs.view(-1, 1, 1, 1)
    return torch.where(better, matched, guess)


def match(reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
    """Match blocks of B in A: all displacements on a coarse level, then those near the best.

    Args:
        reference: frame A (N, 3, H, W), sides multiples of 8.
        current: frame B.

    Returns:
        Displacement from A to B in even numbers of pixels (N, 2, H/4, W/4), each at most 74.
    """
    field, _ = _search(_colours(reference, COARSE), _colours(current, COARSE))
    for level, radius in ((2, 2), (1, 1)):
        doubled = 2 * field.repeat_interleave(2, -1).repeat_interleave(2, -2)
        before, after = _colours(reference, level), _colours(current, level)
        field, error = _refine(before, after, doubled, radius)
    # Of the 2 x 2 matches in a cell the best.
    _, best = F.max_pool2d(-error, 2, return_indices=True)
    return 2 * _gather(field, best)


def _colours(frames: torch.Tensor, level: int) -> torch.Tensor:
    """Return frames shrunk by 2^level, without their local mean colour."""
    small = F.avg_pool2d(frames, 2**level)
    return small - around(small, MEAN)


def _search(reference: torch.Tensor, current: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the best displacement of each pixel within RADIUS, (N, 2, h, w), and its error."""
    padded = F.pad(reference, (RADIUS,) * 4, mode="replicate")
    measure = _unfolded_errors if torch.compiler.is_exporting() else _squared_errors
    error, index = around(measure(padded, current), WINDOW).min(1, keepdim=True)
    count = 2 * RADIUS + 1
    return torch.cat([index % count, index // count], 1).to(current) - RADIUS, error


def _squared_errors(padded: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
    """Return the squared error of each displacement, row by row, (N, displacements, h, w).

    Args:
        padded: the frame before, with RADIUS more pixels on all sides.
        current: the frame after it, (N, C, h, w).
    """
    height, width = current.shape[-2:]
    offsets = range(-RADIUS, RADIUS + 1)
    errors = []
    for y in offsets:
        rows = padded[..., RADIUS - y : RADIUS - y + height, :]
        moved = torch.stack([rows[..., RADIUS - x : RADIUS - x + width] for x in offsets], 1)
        errors.append((moved - current[:, None]).square().sum(2))
    return torch.cat(errors, 1)


def _unfolded_errors(padded: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
    """Return the same by one operator in place of hundreds, which takes more memory."""
    (n, _, height, width), side = current.shape, 2 * RADIUS + 1
    blocks = F.unfold(padded, side).view(n, -1, side**2, height, width)
    return (blocks.flip(2) - current[:, :, None]).square().sum(1)


def _refine(
    reference: torch.Tensor, current: torch.Tensor, start: torch.Tensor, radius: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Improve a field of whole pixels by those of neighbours and by up to `radius` pixels."""
    field, error = start, _error(reference, current, start)
    height, width = current.shape[-2:]
    padded = F.pad(start, (NEAR,) * 4, mode="replicate")
    for y, x in ((0, NEAR), (NEAR, 0), (NEAR, 2 * NEAR), (2 * NEAR, NEAR)):
        other = padded[..., y : y + height, x : x + width]
        field, error = _better(reference, current, (field, error), other)
    centre = field
    for y in range(-radius, radius + 1):
        for x in range(-radius, radius + 1):
            other = centre + centre.new_tensor([x, y]).view(1, 2, 1, 1)
            field, error = _better(reference, current, (field, error), other)
    return field, error


def _better(
    reference: torch.Tensor,
    current: torch.Tensor,
    best: tuple[torch.Tensor, torch.Tensor],
    field: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    error = _error(reference, current, field)
    return torch.where(error < best[1], field, best[0]), torch.minimum(error, best[1])


def _error(reference: torch.Tensor, current: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
    """Return the squared difference of blocks (N, 1, h, w) at a field of whole pixels."""
    height, width = current.shape[-2:]
    x, y = field.long().unbind(1)
    columns = (torch.arange(width, device=x.device) - x).clamp(0, width - 1)
    rows = (torch.arange(height, device=x.device)[:, None] - y).clamp(0, height - 1)
    moved = _gather(reference, (rows * width + columns)[:, None])
    return around((moved - current).square().sum(1, keepdim=True), WINDOW)


def _gather(maps: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return pixels of maps (N, C, H, W) by their index in the map (N, 1, h, w)."""
    (n, channels), (height, width) = maps.shape[:2], index.shape[-2:]
    flat = index.flatten(2).expand(-1, channels, -1)
    return maps.flatten(2).gather(2, flat).view(n, channels, height, width)
