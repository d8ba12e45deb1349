"""From a run's folder to its result, whatever is trained: lock, restore, train, export."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from magkit.errors import MagkitError
from magkit.progress import Progress, silent
from magkit.runtime import ranks
from magkit.training.checkpoint import restore, weights_digest
from magkit.training.config import TrainConfig
from magkit.training.further import extend
from magkit.training.lock import locked
from magkit.training.loop import TrainState
from magkit.training.metrics import recent_metrics
from magkit.training.run import Run
from magkit.training.train import Task, train

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A finished training.

    Attributes:
        run: its folder.
        steps: how many there were in all.
        continued: the step at which this process went on.
        seconds: how long this process trained.
        metrics: means over the last hundred steps.
    """

    run: Run
    steps: int
    continued: int
    seconds: float
    metrics: dict[str, float]


def complete(
    run: Run,
    state: TrainState,
    config: TrainConfig,
    task: Task[Any],
    export: Callable[[TrainState], None],
    *,
    title: str,
    progress: Progress = silent,
    tensorboard: bool = False,
) -> Outcome:
    """Train from the newest checkpoint of a run, or from the start, to the end.

    Args:
        run: its folder; no other training may be at work in it. One that had ended is extended.
        state: the networks as they are at the start.
        config: steps, rates, intervals.
        task: what is learnt, from what.
        export: writes the result; called by the first process alone.
        title: what is trained, for the log.
        progress: told about steps.
        tensorboard: whether what is measured goes there as well.

    Raises:
        MagkitError: the folder is in use, its checkpoints can't be read, the processes of the
            training found different ones, or as `train`.
    """
    with ranks.first(lambda: locked(run.folder)):
        ranks.shared(run.sweep)
        for broken in _restored(run, state):
            logger.warning("%s can't be read: going on from the checkpoint before it", broken)
        if run.extends is not None:
            ranks.shared(lambda: extend(run, state.step))
            ended = (run.folder, run.extends)
            logger.info("%s had ended after %d steps: it is trained further", *ended)
        start, began = state.step, time.monotonic()
        logger.info("%s%s", title, f", from step {start}" if start else "")
        train(run, state, config, task, progress, tensorboard=tensorboard)
        ranks.shared(lambda: export(state))
    return Outcome(
        run=run,
        steps=state.step,
        continued=start,
        seconds=time.monotonic() - began,
        metrics=recent_metrics(run.metrics),
    )


def _restored(run: Run, state: TrainState) -> list[Path]:
    """Bring the state to the newest checkpoint, in all processes to the same; see `restore`."""
    broken = ranks.together(lambda: restore(run.folder, state))
    # Random weights may differ in a last bit between machines; what was saved doesn't.
    found = ranks.all_gathered((state.step, weights_digest(state) if state.step else ""))
    if len(set(found)) > 1:
        others = Counter(each for each in found[1:] if each != found[0])
        steps = ", ".join(
            f"step {step}{' with other weights' * (step == found[0][0])} in {count}"
            for (step, _), count in sorted(others.items())
        )
        raise MagkitError(
            f"the processes of this training find different checkpoints in {run.folder}:"
            f" step {found[0][0]} in the first, {steps} of the {len(found) - 1} others",
            "the folder must lie where all of them see the same files: -o on a shared file system",
        )
    return broken
