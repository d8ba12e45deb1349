"""What is asked of a magnifier's pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from magkit.protocols import Magnifier
from magkit.testing.assertions import differing, require
from magkit.testing.toy_data import waves

SIDE = 64  # pixels at least
STEP = torch.tensor([[0.5, -0.25]])  # of the scene, pixels
STRIDE = torch.tensor([[1.5, -1.0]])  # far enough that to show it twice is seen
TOLERANCE = 0.015  # of brightness, the mean over a picture: four shades of 256
ROUNDING = 1e-4  # of the largest value: sums are added up in another order
FACTORS = (2.0, 0.5, 4.0)
LARGE = 20.0
RANGE = (-0.5, 1.5)  # of brightness: frames are not clipped, and may overshoot that far
Build = Callable[[], Magnifier]


def side(magnifier: Magnifier) -> int:
    """Return a side of frames that suits it."""
    return -(-SIDE // magnifier.stride) * magnifier.stride


@torch.no_grad()
def shown(magnifier: Magnifier, before: Tensor, after: Tensor, *factors: float) -> Tensor:
    """Return the frames after a motion with it shown so many times."""
    reference, current = magnifier.encode(before), magnifier.encode(after)
    motion = magnifier.motion(reference, current)
    found: Tensor = magnifier.render(current, motion, torch.tensor(factors))
    return found


def repeats(build: Build) -> None:
    """Ask that nothing is drawn at random, and that a clip leaves no trace."""
    magnifier = build()
    before, after = _pair(magnifier)
    state = _state(magnifier)
    first, second = (shown(magnifier, before, after, 3.0) for _ in range(2))
    require(
        torch.equal(first, second),
        "the same frames are magnified otherwise the second time: draw nothing at random, and keep"
        " nothing of a clip",
    )
    changed = differing(state, _state(magnifier))
    require(
        not changed,
        f"frames change {', '.join(changed[:3])} of the magnifier: keep nothing of a clip",
    )


def alone(build: Build) -> None:
    """Ask that each frame of a batch is shown by its own factor, as it is alone."""
    magnifier = build()
    size = side(magnifier)
    before, after = (
        torch.cat([waves(size, place, seed=n) for n in range(len(FACTORS))])
        for place in (0 * STEP, STEP)
    )
    together = shown(magnifier, before, after, *FACTORS)
    for n, factor in enumerate(FACTORS):
        single = shown(magnifier, before[n : n + 1], after[n : n + 1], factor)
        error = (together[n : n + 1] - single).abs().max()
        require(
            bool(error <= ROUNDING * (1 + single.abs().max())),
            f"a frame differs by {255 * error:.2f} of 256 shades from what it is alone, with the"
            " same factor: normalise nothing over the batch, and give each frame its own factor",
        )


def passes(build: Build) -> None:
    """Ask that a factor of 1 gives back the frame."""
    magnifier = build()
    size = side(magnifier)
    before, after = waves(size, 0 * STRIDE), waves(size, STRIDE)
    error = _error(shown(magnifier, before, after, 1.0), after)
    require(
        error <= TOLERANCE,
        f"a factor of 1 changes a frame by {255 * error:.1f} of 256 shades: it already shows its"
        " motion once, so add to it by factor - 1",
    )


def bounded(build: Build) -> None:
    """Ask that frames of [0, 1] stay near that range, pixel by pixel, before they are clipped."""
    magnifier = build()
    before, after = _pair(magnifier)
    for factor in (1.0, 3.0):
        made = shown(magnifier, before, after, factor)
        least, most = made.min().item(), made.max().item()
        require(
            RANGE[0] <= least and most <= RANGE[1],
            f"at a factor of {factor:g} frames in [0, 1] become values from {least:.2f} to"
            f" {most:.2f}: give brightness in [0, 1], which may overshoot by half at most",
        )


def still(build: Build) -> None:
    """Ask that nothing moves where nothing moved, however often it is shown."""
    magnifier = build()
    _, frame = _pair(magnifier)
    error = _error(shown(magnifier, frame, frame, LARGE), frame)
    require(
        error <= TOLERANCE,
        f"a scene that stands still changes by {255 * error:.1f} of 256 shades at a factor of"
        f" {LARGE:g}: the motion from a frame to itself must be nothing",
    )


def magnifies(build: Build) -> None:
    """Ask that a factor of 3 shows more of a motion of half a pixel, and one of 0 less."""
    magnifier = build()
    before, after = _pair(magnifier)
    for factor in (3.0, 0.0):
        truth = waves(side(magnifier), STEP * factor)
        made, unchanged = (
            _error(frame, truth) for frame in (shown(magnifier, before, after, factor), after)
        )
        require(
            made < unchanged,
            f"at a factor of {factor:g} a frame is {255 * made:.1f} of 256 shades from the scene"
            f" displaced so far, and as it was {255 * unchanged:.1f}: show the motion from the"
            " reference to the frame that many times",
        )


def _pair(magnifier: Magnifier) -> tuple[Tensor, Tensor]:
    size = side(magnifier)
    return waves(size, 0 * STEP), waves(size, STEP)


def _error(image: Tensor, other: Tensor) -> float:
    return (image - other).abs().mean().item()


def _state(magnifier: Any) -> dict[str, Tensor]:
    if not isinstance(magnifier, torch.nn.Module):
        return {}
    return {name: value.clone() for name, value in magnifier.state_dict().items()}
