"""Pictures optimised from a start: sizes one after the other, until nothing more is gained."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from magkit.invert.affine import scaling
from magkit.invert.init_noise import mixed, mixing
from magkit.invert.objective import Move, Objective, TemporalPrior, total
from magkit.invert.priors import normalised
from magkit.invert.settings import InvertSettings
from magkit.runtime.seeds import generator

SMALLEST = 32  # pixels: of the shorter side in a stage

Key = Sequence[int]
"""What tells the draws of these pictures from those of others."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A size at which pictures are optimised, and for how many steps at most."""

    size: tuple[int, int]
    steps: int


@dataclass(slots=True)
class OptimState:
    """Where an optimisation stands; what a checkpoint holds.

    Attributes:
        x_N3HW: the pictures, in normalised space, of the current stage's size.
        stage: its number.
        step: how many of its steps are done.
        done: steps of all stages.
        optimizer: Adam's state, of torch.
        losses: of this stage's steps.
    """

    x_N3HW: Tensor
    stage: int = 0
    step: int = 0
    done: int = 0
    optimizer: dict[str, object] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OptimResult:
    """What became of pictures.

    Attributes:
        x_N3HW: in normalised space.
        steps: how many were done.
        finite: False where the loss or its gradient was no number any more; x is what was before.
    """

    x_N3HW: Tensor
    steps: int
    finite: bool = True


def stages(settings: InvertSettings, size: tuple[int, int], stride: int = 1) -> list[Stage]:
    """Return the stages of pictures of a size that start from noise.

    Args:
        settings: sizes and steps.
        size: of the last stage, height and width.
        stride: the sides of all stages are multiples of this, as those of the last one are.
    """
    return [
        Stage(_scaled(size, part, stride), steps)
        for part, steps in zip(settings.sizes, settings.steps(), strict=True)
    ]


def last_two(plan: Sequence[Stage], steps: int) -> list[Stage]:
    """Return the stages of pictures that start from a frame: the last two sizes, as many steps.

    The smaller one moves shapes. At full size alone more steps only please the target: they lower
    its loss, and what another network sees gets worse.
    """
    return [Stage(stage.size, steps) for stage in plan[-2:]]


def _scaled(size: tuple[int, int], part: float, stride: int) -> tuple[int, int]:
    part = min(max(part, SMALLEST / min(size)), 1.0)
    height, width = (max(1, round(side * part / stride)) * stride for side in size)
    return height, width


def optimize(
    position: OptimState,
    plan: Sequence[Stage],
    objective: Objective,
    settings: InvertSettings,
    key: Key,
    save: Callable[[OptimState], None] = lambda _: None,
) -> OptimResult:
    """Optimise pictures from where they stand to the end of the last stage.

    Every draw is a function of (seed, key, stage, step): going on from a saved position ends with
    the same bytes.

    Args:
        position: where to start; changed.
        plan: the stages; `objective` is for the last one's size.
        objective: what is minimised.
        settings: rates, jitter, when to stop.
        key: of the draws.
        save: called after every step.
    """
    while position.stage < len(plan):
        stage = plan[position.stage]
        if tuple(position.x_N3HW.shape[2:]) != stage.size:
            position.x_N3HW = resized(position.x_N3HW, stage.size)
        full = plan[-1].size
        smaller = scaled(objective, stage.size, full, len(position.x_N3HW))
        reach = settings.jitter * stage.size[0] / full[0]
        if not _stage(position, stage, smaller, settings, reach, key, save):
            return OptimResult(position.x_N3HW, position.done, finite=False)
        position.stage, position.step = position.stage + 1, 0
        position.optimizer, position.losses = {}, []
    return OptimResult(position.x_N3HW, position.done)


def _stage(
    position: OptimState,
    stage: Stage,
    objective: Objective,
    settings: InvertSettings,
    reach: float,
    key: Key,
    save: Callable[[OptimState], None],
) -> bool:
    """Do the steps of a stage that are left; False where the loss became no number."""
    x = position.x_N3HW.detach().clone().requires_grad_()
    axes = mixing(settings.axes, x)
    # Adam's step, along the axes of colour, whatever the picture is.
    along = torch.zeros_like(x, requires_grad=True)
    adam = torch.optim.Adam([along], settings.lr, (settings.beta1, settings.beta2))
    if position.optimizer:
        adam.load_state_dict(position.optimizer)
    low, high = (normalised(x.new_full((1, 3, 1, 1), v)) for v in (0.0, 1.0))
    while position.step < stage.steps and not flat(position.losses, settings):
        adam.param_groups[0]["lr"] = rate(settings, position.step, stage.steps)
        draw = generator(settings.seed, *key, position.stage, position.step)
        terms = objective.terms(*disturbed(x, settings, draw, reach))
        loss = total(terms)
        (gradient,) = torch.autograd.grad(loss, x)
        if not (torch.isfinite(loss) and torch.isfinite(gradient).all()):
            return False
        with torch.no_grad():
            along.zero_()
            along.grad = mixed(axes.T, gradient)
            adam.step()
            x.add_(mixed(axes, along))
            if settings.clip:
                x.copy_(torch.minimum(torch.maximum(x, low), high))
        position.step, position.done = position.step + 1, position.done + 1
        position.losses.append(loss.item())
        position.x_N3HW, position.optimizer = x.detach(), adam.state_dict()
        save(position)
    return True


def disturbed(
    x: Tensor, settings: InvertSettings, draw: torch.Generator, reach: float
) -> tuple[Tensor, Move | None]:
    """Return pictures with noise laid over them, and how they are to be shifted and mirrored.

    Shifts are whole pixels, up to `reach`.
    """
    if settings.noise:
        x = x + settings.noise * torch.randn(x.shape, generator=draw).to(x)
    if not settings.jitter and not settings.flip:
        return x, None
    count, width = len(x), float(x.shape[3])
    shifts = ((torch.rand(count, 2, generator=draw) * 2 - 1) * reach).round()
    mirrored = torch.rand(count, generator=draw) < settings.flip
    maps = torch.zeros(count, 2, 3)
    maps[:, 0, 0] = torch.where(mirrored, -1.0, 1.0)
    maps[:, 0, 2] = torch.where(mirrored, width, 0.0) + shifts[:, 0]
    maps[:, 1, 1], maps[:, 1, 2] = 1.0, shifts[:, 1]
    return x, Move(maps.to(x.device))


def rate(settings: InvertSettings, step: int, steps: int) -> float:
    """Return the learning rate of a step: a cosine from `lr` to `lr * final` over a stage."""
    fall = (1 - math.cos(math.pi * step / steps)) / 2
    return settings.lr * (1 - (1 - settings.final) * fall)


def flat(losses: Sequence[float], settings: InvertSettings) -> bool:
    """Return whether the last window of steps gained too little on the one before."""
    window = settings.window
    if not settings.plateau or len(losses) < 2 * window:
        return False
    before, now = sum(losses[-2 * window : -window]), sum(losses[-window:])
    return now > before - settings.plateau * abs(before)


def resized(x_NCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Return pictures of another size, without aliasing."""
    smaller = size[0] < x_NCHW.shape[2]
    return F.interpolate(x_NCHW, size, mode="bilinear", align_corners=False, antialias=smaller)


def scaled(
    objective: Objective, size: tuple[int, int], full: tuple[int, int], count: int
) -> Objective:
    """Return an objective for `count` pictures of `size`, made of one for those of size `full`."""
    if size == full:
        return objective
    goals = []
    for goal in objective.goals:
        maps = scaling(full, size, count)
        goals.append(replace(goal, labels=goal.labels.moved(maps, size)))
    guide = objective.guide
    if guide is not None:
        guide = TemporalPrior(resized(guide.pixels_N3HW, size), resized(guide.known_N1HW, size))
    return replace(objective, goals=goals, guide=guide)
