"""The objective: the weighted sum of the targets' losses, BatchNorm distances and image priors.

With pictures x in normalised space, targets t of weight w_t that are asked for labels y:

    L(x) = sum_t w_t (mask BCE_t + label CE_t + other terms of t + bn R_t)
         + var_l1 TV1 + var_l2 TV2 + l2_norm |x| + range_penalty B + colour C + temporal T

Each target term is explained at its target (`losses`), R in `statistics`, the priors in `priors`.
T is the mean square of x minus a guide, over the pixels that the guide knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from magkit.errors import UsageError
from magkit.invert import priors
from magkit.invert.affine import TemporalPrior, resample
from magkit.invert.settings import InvertSettings
from magkit.invert.statistics import Moments, moments_distance, pool_moments, record_moments
from magkit.protocols import Labels, Statistic, Target

LOSS_WEIGHTS = {
    "mask": "mask",
    "class": "label",
}  # what targets call their terms: the weights' names
PRIORS = {
    "var_l1": priors.tv_l1,
    "var_l2": priors.tv_l2,
    "l2_norm": priors.l2_norm,
    "range_penalty": priors.range_penalty,
    "colour": priors.colour_penalty,
}


@dataclass(frozen=True, slots=True)
class TargetTerm:
    """What one of the targets is to see.

    Attributes:
        name: of the target.
        target: itself.
        labels: in its own form, of pictures of the size that is optimised.
        statistics: the layers that it remembers statistics in.
        weight: in the sum.
        before: moments of frames that were made before, by layer, and how many frames they are of.
    """

    name: str
    target: Target[Any]
    labels: Labels
    statistics: Sequence[Statistic]
    weight: float = 1.0
    before: Mapping[str, Moments] = field(default_factory=dict)
    frames: int = 0


@dataclass(frozen=True, slots=True)
class Objective:
    """Goals, an optional guide, and the weights of all terms."""

    goals: Sequence[TargetTerm]
    settings: InvertSettings
    guide: TemporalPrior | None = None

    def terms(self, x_N3HW: Tensor, move: AffineAugmentation | None = None) -> dict[str, Tensor]:
        """Return the weighted terms of pictures in normalised space, scalars by name.

        Args:
            x_N3HW: the pictures.
            move: how pictures and labels are shifted and mirrored for the targets.
        """
        found = dict(self._of_priors(x_N3HW))
        seen = x_N3HW if move is None else move.pictures(x_N3HW)
        for prefix, goal in zip(self._prefixes(), self.goals, strict=True):
            terms = self._of_target(goal, seen, move)
            found.update({prefix + name: term for name, term in terms.items()})
        return found

    def _prefixes(self) -> list[str]:
        """Return what the names of the goals' terms begin with: two may have the same target."""
        names = [goal.name for goal in self.goals]
        if len(names) == 1:
            return [""]
        return [
            f"{name} " if names.count(name) == 1 else f"{name} {number} "
            for number, name in enumerate(names, 1)
        ]

    def _of_priors(self, x: Tensor) -> dict[str, Tensor]:
        weights = {name: float(getattr(self.settings, name)) for name in PRIORS}
        found = {name: w * PRIORS[name](x) for name, w in weights.items() if w}
        if self.guide is not None and self.settings.temporal:
            error = (x - self.guide.pixels_N3HW).square() * self.guide.known_N1HW
            known = self.guide.known_N1HW.sum().clamp(min=1) * x.shape[1]
            found["temporal"] = self.settings.temporal * error.sum() / known
        return found

    def _of_target(
        self, goal: TargetTerm, x: Tensor, move: AffineAugmentation | None
    ) -> dict[str, Tensor]:
        settings = self.settings
        labels = goal.labels if move is None else move.labels(goal.labels, x)
        with record_moments(goal.statistics if settings.bn else ()) as seen:
            losses = goal.target.losses(priors.denormalize(x), labels)
        found = {}
        for name, loss in losses.items():
            weight = float(getattr(settings, LOSS_WEIGHTS.get(name, "other"))) * goal.weight
            if weight:
                found[name] = weight * loss
        if seen.of:
            found["bn"] = goal.weight * settings.bn * self._far(goal, seen.of)
        return found

    def _far(self, goal: TargetTerm, seen: Mapping[str, Moments]) -> Tensor:
        share = 1 / (1 + goal.frames)
        taken = {
            name: pool_moments(now, goal.before[name], share) if name in goal.before else now
            for name, now in seen.items()
        }
        s = self.settings
        return moments_distance(
            goal.statistics, taken, form=s.bn_form, first=s.bn_first, region=s.bn_region
        )


@dataclass(frozen=True, slots=True)
class AffineAugmentation:
    """How pictures and their labels are resampled alike: affine maps (N, 2, 3) of pixels."""

    source_from_output_N23: Tensor

    def pictures(self, x_NCHW: Tensor) -> Tensor:
        """Return the pictures as they are shown to the targets."""
        return resample(x_NCHW, self.source_from_output_N23, (x_NCHW.shape[2], x_NCHW.shape[3]))

    def labels(self, labels: Labels, x_NCHW: Tensor) -> Labels:
        """Return what is asked for in the pictures as they are shown."""
        return labels.moved(self.source_from_output_N23, (x_NCHW.shape[2], x_NCHW.shape[3]))


def total_loss(terms: Mapping[str, Tensor]) -> Tensor:
    """Return the sum of terms.

    Raises:
        UsageError: there is none.
    """
    if not terms:
        raise UsageError("no term has a weight: nothing is asked for", "raise --bn, or mask")
    return torch.stack(list(terms.values())).sum()


def gradient_norms(objective: Objective, x_N3HW: Tensor) -> dict[str, float]:
    """Return the Euclidean norm of each weighted term's gradient at x."""
    x = x_N3HW.detach().clone().requires_grad_()
    norms = {}
    terms = objective.terms(x)
    for name, term in terms.items():
        (gradient,) = torch.autograd.grad(term, x, retain_graph=True)
        norms[name] = float(gradient.norm())
    return norms
