"""What is asked of a method's state: it is saved whole, and determined by the seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from magkit.testing.check import require
from magkit.testing.lessons import Lesson, Taught
from magkit.testing.modules import differing, loose_tensors
from magkit.testing.outcomes import listed

STOPS = (2, 5)  # before the first checkpoint, and between two


def resumes(told: Callable[[], Taught], lesson: Lesson) -> None:
    """Ask that a training that was stopped ends as one that never was."""
    whole, stopped = told(), lesson.taught(STOPS)
    differ = differing(whole.learner.state_dict(), stopped.learner.state_dict())
    require(
        not differ,
        f"stopped twice and gone on with, a training ends with another {listed(differ)}: what"
        " outlives a step belongs into parameters and buffers (register_buffer), and every draw"
        " into torch's global generator",
    )
    require(
        whole.metrics == stopped.metrics,
        "stopped twice and gone on with, a training measures other losses: what outlives a step"
        " belongs into parameters and buffers (register_buffer)",
    )


def respects_seeds(told: Callable[[], Taught], lesson: Lesson) -> None:
    """Ask that a seed determines the result, and that another changes it."""
    differ = differing(told().learner.state_dict(), lesson.taught().learner.state_dict())
    require(
        not differ,
        f"two trainings with the same seed end with another {listed(differ)}: take every draw from"
        " torch's global generator, which magkit seeds for each step",
    )
    other = replace(lesson, settings={**lesson.settings, "seed": 1})
    ours, theirs = lesson.learner().methods, other.learner().methods
    trained = [p for p in ours.parameters() if p.requires_grad and p.ndim > 1]
    require(
        not trained or differing(ours.state_dict(), theirs.state_dict()),
        "another seed gives the same random weights: draw them from torch's global generator, and"
        " don't seed it",
    )


def holds_nothing_else(told: Callable[[], Taught]) -> None:
    """Ask that a method keeps no tensor where it is neither saved nor moved to a device."""
    loose = loose_tensors(told().learner.methods)
    require(
        not loose,
        f"after a step {listed(loose)} is a tensor that is neither a parameter nor a buffer:"
        " neither is it saved nor does it go to the device; use register_buffer, or forget it in"
        " after_step",
    )
