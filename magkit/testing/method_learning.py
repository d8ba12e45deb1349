"""What is asked of a method's training: gradients, what they do, and that nothing collapses."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from magkit.selfsup.learner import Learner
from magkit.testing.check import require
from magkit.testing.lessons import BRANCH, PICTURES, Lesson, Taught, summed, terms
from magkit.testing.modules import differing, own_parameters, same
from magkit.testing.outcomes import listed

DESCENT, RATE = 10, 1e-3  # steps along the gradient of the same pictures


def gradients_reach(taught: Callable[[], Taught], lesson: Lesson) -> None:
    """Ask for a gradient of all that is trained.

    After a training: a first step may teach nothing.
    """
    learner = lesson.learnt(taught())
    learner.before_step(0.5)
    total = summed(terms(learner, lesson.views(learner)))
    require(total.requires_grad, "the loss has no gradient: don't detach what is trained")
    torch.autograd.backward(total)
    encoder = {f"encoder.{n}": p for n, p in own_parameters(learner.encoder).items()}
    method = {f"method.{n}": p for n, p in own_parameters(learner.methods[BRANCH]).items()}
    for name, parameter in {**encoder, **method}.items():
        if parameter.requires_grad:
            _reached(name, parameter.grad)


def _reached(name: str, gradient: Tensor | None) -> None:
    require(
        gradient is not None and bool(gradient.any()),
        f"no gradient of the loss reaches {name}: it would never be trained; let the loss depend on"
        " it, or switch its gradient off by requires_grad_(False)",
    )
    require(
        gradient is not None and bool(gradient.isfinite().all()),
        f"the gradient that reaches {name} is not finite: keep away from roots, logarithms and"
        " quotients of nothing",
    )


def trains(taught: Callable[[], Taught], lesson: Lesson) -> None:
    """Ask that steps change what is trained, and that they lower what the loss says."""
    done = taught()
    broken = [line["step"] for line in done.metrics if line["gradient"] is None]
    require(
        not broken,
        f"step {listed(broken)} of {len(done.metrics)} had no finite loss or gradient: keep both"
        " finite",
    )
    start, end = lesson.learner().state_dict(), done.learner.state_dict()
    still = [name for name in _trained(done.learner) if same(start[name], end[name])]
    require(
        not still,
        f"{len(done.metrics)} steps leave {listed(still)} as it was drawn: before_keys and"
        " after_step must not undo what the optimiser does",
    )
    before, after = _descent(lesson.learnt(done), lesson)
    require(
        after < before,
        f"{DESCENT} steps of Adam along its gradient take the loss of the same {PICTURES} pictures"
        f" from {before:.5f} to {after:.5f}: let it depend on maps and state alone, draw from"
        " torch's global generator, and detach no part of what is compared",
    )


def _descent(learner: Learner, lesson: Lesson) -> tuple[float, float]:
    """Lower the loss of some pictures, with the same draws and targets; return it before, after."""
    adam = torch.optim.Adam((p for p in learner.parameters() if p.requires_grad), RATE)
    views, losses = lesson.views(learner), []
    for _ in range(DESCENT + 1):
        learner.before_step(0.5)
        loss = summed(terms(learner, views))
        adam.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        adam.step()
        losses.append(loss.item())
    return losses[0], losses[-1]


def spreads(taught: Callable[[], Taught]) -> None:
    """Ask that embeddings don't collapse, as magkit's own watch tells."""
    done = taught()
    require(
        not done.warnings,
        f"{'; '.join(done.warnings)}: whatever keeps embeddings apart, negatives, a predictor, a"
        " stopped gradient, doesn't",
    )


def follows(taught: Callable[[], Taught], lesson: Lesson) -> None:
    """Ask that the second encoder of a keyed method follows, without gradients."""
    start, end = lesson.learner().keys, taught().learner.keys
    if BRANCH in end:
        before, after = (own_parameters(keys[BRANCH]) for keys in (start, end))
        require(
            differing(before, after),
            "the method is keyed, and the second encoder stays as it was drawn: move it after the"
            " encoder in before_keys or after_step, or say keyed = False",
        )
        require(
            not any(p.requires_grad for p in after.values()),
            "the second encoder got gradients switched on: leave them off, it follows",
        )


def _trained(learner: Learner) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in learner.named_parameters() if p.requires_grad}
