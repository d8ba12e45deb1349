"""Pictures optimised from a start: sizes one after the other, until nothing more is gained."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from magkit.errors import MagkitError, UsageError
from magkit.invert.affine import TemporalPrior, scale_map
from magkit.invert.objective import AffineAugmentation, Objective, gradient_norms, total_loss
from magkit.invert.priors import apply_matrix, colour_matrix, denormalize, init_noise, normalize
from magkit.invert.settings import InvertSettings
from magkit.runtime.seeds import generator

logger = logging.getLogger(__name__)

MIN_SIDE = 32  # pixels: of the shorter side in a stage
MIN_CONTRAST = 0.05  # standard deviation of an image
MIN_GRADIENT = 0.002  # of a term, as a fraction of the largest term's

NOISE_KEY = 0  # first part of the seed key of the initial noise

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


def make_stages(settings: InvertSettings, size: tuple[int, int], stride: int = 1) -> list[Stage]:
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


def refinement_stages(plan: Sequence[Stage], steps: int) -> list[Stage]:
    """Return the stages of pictures that start from a frame: the last two sizes, as many steps.

    The smaller one moves shapes. At full size alone more steps only please the target: they lower
    its loss, and what another network sees gets worse.
    """
    return [Stage(stage.size, steps) for stage in plan[-2:]]


def _scaled(size: tuple[int, int], part: float, stride: int) -> tuple[int, int]:
    part = min(max(part, MIN_SIDE / min(size)), 1.0)
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
            position.x_N3HW = resize(position.x_N3HW, stage.size)
        full = plan[-1].size
        smaller = resize_objective(objective, stage.size, full, len(position.x_N3HW))
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
    axes = colour_matrix(settings.axes, x)
    # Adam's step, along the axes of colour, whatever the picture is.
    along = torch.zeros_like(x, requires_grad=True)
    adam = torch.optim.Adam([along], settings.lr, (settings.beta1, settings.beta2))
    if position.optimizer:
        adam.load_state_dict(position.optimizer)
    low, high = (normalize(x.new_full((1, 3, 1, 1), v)) for v in (0.0, 1.0))
    while position.step < stage.steps and not has_plateaued(position.losses, settings):
        adam.param_groups[0]["lr"] = learning_rate(settings, position.step, stage.steps)
        draw = generator(settings.seed, *key, position.stage, position.step)
        terms = objective.terms(*augment(x, settings, draw, reach))
        loss = total_loss(terms)
        (gradient,) = torch.autograd.grad(loss, x)
        if not (torch.isfinite(loss) and torch.isfinite(gradient).all()):
            return False
        with torch.no_grad():
            along.zero_()
            along.grad = apply_matrix(axes.T, gradient)
            adam.step()
            x.add_(apply_matrix(axes, along))
            if settings.clip:
                x.copy_(torch.minimum(torch.maximum(x, low), high))
        position.step, position.done = position.step + 1, position.done + 1
        position.losses.append(loss.item())
        position.x_N3HW, position.optimizer = x.detach(), adam.state_dict()
        save(position)
    return True


def augment(
    x: Tensor, settings: InvertSettings, draw: torch.Generator, reach: float
) -> tuple[Tensor, AffineAugmentation | None]:
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
    return x, AffineAugmentation(maps.to(x.device))


def learning_rate(settings: InvertSettings, step: int, steps: int) -> float:
    """Return the learning rate of a step: a cosine from `lr` to `lr * final` over a stage."""
    fall = (1 - math.cos(math.pi * step / steps)) / 2
    return settings.lr * (1 - (1 - settings.final_lr_ratio) * fall)


def has_plateaued(losses: Sequence[float], settings: InvertSettings) -> bool:
    """Return whether the last window of steps gained too little on the one before."""
    window = settings.window
    if not settings.plateau or len(losses) < 2 * window:
        return False
    before, now = sum(losses[-2 * window : -window]), sum(losses[-window:])
    return now > before - settings.plateau * abs(before)


def resize(x_NCHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Return pictures of another size, without aliasing."""
    smaller = size[0] < x_NCHW.shape[2]
    return F.interpolate(x_NCHW, size, mode="bilinear", align_corners=False, antialias=smaller)


def resize_objective(
    objective: Objective, size: tuple[int, int], full: tuple[int, int], count: int
) -> Objective:
    """Return an objective for `count` pictures of `size`, made of one for those of size `full`."""
    if size == full:
        return objective
    goals = []
    for goal in objective.goals:
        maps = scale_map(full, size, count)
        goals.append(replace(goal, labels=goal.labels.moved(maps, size)))
    guide = objective.guide
    if guide is not None:
        guide = TemporalPrior(resize(guide.pixels_N3HW, size), resize(guide.known_N1HW, size))
    return replace(objective, goals=goals, guide=guide)


def log_gradients(objective: Objective, x_N3HW: Tensor, plan: Sequence[Stage], name: str) -> None:
    """Log the gradient norm of each term at the start, and warn of negligible terms.

    Raises:
        UsageError: there is no term.
    """
    smaller = resize_objective(objective, plan[0].size, plan[-1].size, len(x_N3HW))
    norms = gradient_norms(smaller, x_N3HW)
    if not norms:
        raise UsageError("all weights are 0: nothing is asked for", "such as --set mask=1")
    text = ", ".join(f"{term} {norm:.3g}" for term, norm in norms.items())
    logger.info("%s: gradients at the start: %s", name, text)
    for warning in negligible_terms(norms):
        logger.warning("%s: %s", name, warning)


def negligible_terms(norms: Mapping[str, float]) -> list[str]:
    """Return a warning for each term whose gradient is negligible beside the largest."""
    strongest = max(norms, key=lambda name: norms[name])
    return [
        f"'{strongest}' drowns '{name}' ({norms[strongest]:.2g} against {norm:.2g}): "
        "change the weight of one"
        for name, norm in norms.items()
        if norm < MIN_GRADIENT * norms[strongest]
    ]


def check_result(result: OptimResult, count: int, what: str) -> None:
    """Refuse a non-finite loss; warn if one of the first `count` images lost its contrast.

    Raises:
        MagkitError: the loss or its gradient became NaN or infinite.
    """
    if not result.finite:
        raise MagkitError(
            f"{what}: the loss is no number after {result.steps} steps",
            "try a smaller --lr, or --set precision=full",
        )
    if any(float(denormalize(x).clamp(0, 1).std()) < MIN_CONTRAST for x in result.x_N3HW[:count]):
        logger.warning(
            "%s has lost its contrast: lower --var-l1, --var-l2 and --l2-norm, or raise --bn", what
        )


def noise_state(
    size: tuple[int, int], settings: InvertSettings, keys: Sequence[tuple[int, int]]
) -> OptimState:
    """Return a state of noise, an image for each seed key."""
    draws = [generator(settings.seed, NOISE_KEY, *key) for key in keys]
    return OptimState(torch.stack([init_noise(size, settings, draw) for draw in draws]))
