"""What is told of an optimisation: how strong its terms are, and what went wrong with it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from torch import Tensor

from magkit.errors import MagkitError, UsageError
from magkit.invert.frames_on_disk import shown
from magkit.invert.objective import Objective, gradient_norms
from magkit.invert.optimise import Optimised, Stage, scaled

logger = logging.getLogger(__name__)

FLAT = 0.05  # standard deviation of a picture that has lost its contrast
DROWNED = 0.002  # of the largest term's gradient: a term below it hardly counts


def tell_gradients(objective: Objective, x_N3HW: Tensor, plan: Sequence[Stage], name: str) -> None:
    """Say how strong each term's pull is at the start, and which of them drowns another.

    Raises:
        UsageError: there is no term.
    """
    smaller = scaled(objective, plan[0].size, plan[-1].size, len(x_N3HW))
    norms = gradient_norms(smaller, x_N3HW)
    if not norms:
        raise UsageError("all weights are 0: nothing is asked for", "such as --set mask=1")
    pulls = ", ".join(f"{term} {norm:.3g}" for term, norm in norms.items())
    logger.info("%s: gradients at the start: %s", name, pulls)
    for warning in drowned(norms):
        logger.warning("%s: %s", name, warning)


def drowned(norms: Mapping[str, float]) -> list[str]:
    """Return a sentence for each term that hardly counts, by the norms of all gradients."""
    strongest = max(norms, key=lambda name: norms[name])
    return [
        f"'{strongest}' drowns '{name}' ({norms[strongest]:.2g} against {norm:.2g}): "
        "change the weight of one"
        for name, norm in norms.items()
        if norm < DROWNED * norms[strongest]
    ]


def check(found: Optimised, count: int, what: str) -> None:
    """Refuse what is no number; warn if one of the first `count` pictures lost its contrast.

    Raises:
        MagkitError: the loss, or its gradient, is no number any more.
    """
    if not found.finite:
        raise MagkitError(
            f"{what}: the loss is no number after {found.steps} steps",
            "try a smaller --lr, or --set precision=full",
        )
    if any(float(shown(x).std()) < FLAT for x in found.x_N3HW[:count]):
        logger.warning(
            "%s has lost its contrast: lower --var-l1, --var-l2 and --l2-norm, or raise --bn", what
        )
