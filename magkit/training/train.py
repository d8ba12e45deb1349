"""A whole training from the run folder to the result: lock, restore, train, export."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import nn

from magkit.errors import MagkitError
from magkit.progress import Progress, silent
from magkit.runtime import distributed
from magkit.runtime.files import atomic_path, file_lock
from magkit.runtime.seeds import derived_seed
from magkit.training.checkpoint import extend_run, restore, save_checkpoint, weights_digest
from magkit.training.config import TrainConfig, learning_rate
from magkit.training.loop import TrainState, train_step
from magkit.training.metrics import MetricsLog, opened, recent_metrics
from magkit.training.run import Run

DRAWS = 0  # first part of the key of draws that layers such as dropout make

B = TypeVar("B")


class Task(Protocol[B]):
    """What is learnt, from what."""

    def batches(self, start: int) -> Iterable[Sequence[B]]:
        """Yield this process' parts of the batches of steps `start` and on, of equal size.

        Batch n must not depend on `start`.
        """
        ...

    def before_step(self, model: nn.Module, step: int) -> None:
        """Prepare the networks for step number `step`, from 0."""
        ...

    def losses(self, model: nn.Module, part: B) -> dict[str, torch.Tensor]:
        """Return the terms whose sum is to fall."""
        ...

    def after_step(self, model: nn.Module, step: int) -> None:
        """Move what follows the weights, now that the optimiser did step number `step`."""
        ...

    def observe(self, run: Run, model: nn.Module, step: int) -> dict[str, float]:
        """Draw and measure what became of the model after `step` steps; the first process only.

        `model` is the average of the weights where one is taken.
        """
        ...


def train(
    run: Run,
    state: TrainState,
    config: TrainConfig,
    task: Task[B],
    progress: Progress = silent,
    *,
    tensorboard: bool = False,
) -> None:
    """Do the steps that are left, measuring, saving and drawing as `config` says.

    Every draw is a function of (seed, step): a training that was stopped anywhere and goes on from
    a checkpoint equals one that never stopped; on a CPU with as many threads, to the bit.

    Args:
        run: where the first process writes everything; hold it with `locked`.
        state: the networks, on their device, at the checkpoint to go on from.
        config: steps, rates, intervals.
        task: the batches, the losses, what is looked at now and then.
        progress: told about steps.
        tensorboard: whether what is measured goes there as well.

    Raises:
        MagkitError: the training diverged, the run can't be written, or there is no TensorBoard.
    """
    progress(state.step, config.steps)
    with (
        distributed.first_rank_context(
            lambda: opened(run.folder, state.step, wanted=tensorboard)
        ) as show,
        distributed.first_rank_context(lambda: MetricsLog(run.metrics, state.step)) as log,
    ):
        for parts in task.batches(state.step) if state.step < config.steps else ():
            measured = _step(state, config, task, parts)
            if log is not None and show is not None:
                measured.update(_keep(run, state, config, task))
                log.write(state.step, measured)
                show(state.step, measured)
            progress(state.step, config.steps)
            if state.step == config.steps:
                break


def _step(
    state: TrainState, config: TrainConfig, task: Task[B], parts: Sequence[B]
) -> dict[str, float]:
    step, rate = state.step, learning_rate(config, state.step)
    torch.manual_seed(derived_seed(config.seed, DRAWS, step))
    task.before_step(state.model, step)
    device = next(state.model.parameters()).device.type
    with torch.autocast(device, torch.bfloat16, enabled=config.precision == "bf16"):
        losses = [partial(task.losses, state.model, part) for part in parts]
        measured = train_step(state, losses, config)
    task.after_step(state.model, step)
    return {**measured, "rate": rate}


def _keep(run: Run, state: TrainState, config: TrainConfig, task: Task[B]) -> dict[str, float]:
    """Save and look, where it is time to, and return what was seen."""
    seen, last = dict[str, float](), state.step == config.steps
    if last or state.step % config.sample_every == 0:
        with torch.no_grad():
            seen = task.observe(run, state.average, state.step)
    if last or state.step % config.save_every == 0:
        save_checkpoint(run.folder, state)
    return seen


def write_picture(path: Path, picture: torch.Tensor) -> None:
    """Write RGB (3, H, W) in [0, 1] as a PNG, in place of one that is there."""
    pixels = (picture.detach().cpu().clamp(0, 1) * 255).round().byte()
    with (
        atomic_path(path, overwrite=True) as temporary,
        closing(Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0)))) as image,
    ):
        image.save(temporary)


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
    with distributed.first_rank_context(lambda: file_lock(run.folder)):
        distributed.on_first_rank(run.sweep)
        for broken in _restored(run, state):
            logger.warning("%s can't be read: going on from the checkpoint before it", broken)
        if run.extends is not None:
            distributed.on_first_rank(lambda: extend_run(run, state.step))
            ended = (run.folder, run.extends)
            logger.info("%s had ended after %d steps: it is trained further", *ended)
        start, began = state.step, time.monotonic()
        logger.info("%s%s", title, f", from step {start}" if start else "")
        train(run, state, config, task, progress, tensorboard=tensorboard)
        distributed.on_first_rank(lambda: export(state))
    return Outcome(
        run=run,
        steps=state.step,
        continued=start,
        seconds=time.monotonic() - began,
        metrics=recent_metrics(run.metrics),
    )


def _restored(run: Run, state: TrainState) -> list[Path]:
    """Bring the state to the newest checkpoint, in all processes to the same; see `restore`."""
    broken = distributed.on_all_ranks(lambda: restore(run.folder, state))
    # Random weights may differ in a last bit between machines; what was saved doesn't.
    found = distributed.all_gather_object((state.step, weights_digest(state) if state.step else ""))
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
