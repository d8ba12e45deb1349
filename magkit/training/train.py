"""A whole training from the run folder to the result: lock, restore, train, export."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

from magkit.errors import MagkitError, UsageError
from magkit.progress import Progress, silent
from magkit.runtime import distributed
from magkit.runtime.files import file_lock
from magkit.runtime.seeds import derived_seed
from magkit.training.checkpoint import extend_run, restore, save_checkpoint, weights_digest
from magkit.training.config import TrainConfig, learning_rate
from magkit.training.loop import TrainState, train_step
from magkit.training.metrics import MetricsLog, recent_metrics, tensorboard_writer
from magkit.training.run import Run

logger = logging.getLogger(__name__)

DRAWS = 0  # first part of the key of draws that layers such as dropout make

B = TypeVar("B")


class Task(Protocol[B]):
    """Batches, losses and evaluation of a training."""

    def batches(self, start: int) -> Iterable[Sequence[B]]:
        """Yield this process' equal micro-batches of each step, from step `start` on.

        Batch n must not depend on `start`.
        """
        ...

    def before_step(self, model: nn.Module, step: int) -> None:
        """Prepare the networks for step number `step`, from 0."""
        ...

    def losses(self, model: nn.Module, batch: B) -> dict[str, torch.Tensor]:
        """Return the loss terms, whose sum is minimised."""
        ...

    def after_step(self, model: nn.Module, step: int) -> None:
        """Update the networks after the optimiser's step number `step`."""
        ...

    def evaluate(self, run: Run, model: nn.Module, step: int) -> dict[str, float]:
        """Draw samples and return metrics after `step` steps; called in the first process only.

        `model` has the average of the weights, if there is one.
        """
        ...


def check_batch(batch: int, accumulate: int, items: str, group: int = 1) -> None:
    """Check that all processes can share a batch, each in equal micro-batches.

    Args:
        batch: the size of a batch of all processes together.
        accumulate: micro-batches of each process.
        items: what is in a batch, for the message.
        group: how many items are made together, in one part.

    Raises:
        UsageError: they can't.
    """
    world = distributed.world_size()
    if batch % (world * accumulate * group):
        groups = f" of {group} {items} each or a multiple" if group > 1 else ""
        raise UsageError(
            f"a batch of {batch} {items} can't be shared by {world} processes in {accumulate}"
            f" equal parts{groups}",
            f"--batch must be a multiple of {world * accumulate * group}",
        )


def train(
    run: Run,
    state: TrainState,
    config: TrainConfig,
    task: Task[B],
    progress: Progress = silent,
    *,
    tensorboard: bool = False,
) -> None:
    """Do the remaining steps, with metrics, checkpoints and evaluations at intervals.

    Every draw is a function of (seed, step): a training resumed from a checkpoint equals one that
    never stopped; on a CPU with as many threads, to the bit.

    Args:
        run: where the first process writes; locked by the caller.
        state: the networks, on their device, at the checkpoint to resume from.
        config: steps, learning rate, intervals.
        task: batches, losses, evaluation.
        progress: called with the steps done.
        tensorboard: whether metrics are written there as well.

    Raises:
        MagkitError: the training diverged, the run can't be written, or there is no TensorBoard.
    """
    progress(state.step, config.steps)
    with (
        distributed.first_rank_context(
            lambda: tensorboard_writer(run.folder, state.step, enabled=tensorboard)
        ) as write,
        distributed.first_rank_context(lambda: MetricsLog(run.metrics, state.step)) as log,
    ):
        for micro_batches in task.batches(state.step) if state.step < config.steps else ():
            metrics = _step(state, config, task, micro_batches)
            if log is not None and write is not None:
                metrics.update(_evaluate_and_save(run, state, config, task))
                log.write(state.step, metrics)
                write(state.step, metrics)
            progress(state.step, config.steps)
            if state.step == config.steps:
                break


def _step(
    state: TrainState, config: TrainConfig, task: Task[B], micro_batches: Sequence[B]
) -> dict[str, float]:
    step, rate = state.step, learning_rate(config, state.step)
    torch.manual_seed(derived_seed(config.seed, DRAWS, step))
    task.before_step(state.model, step)
    device = next(state.model.parameters()).device.type
    with torch.autocast(device, torch.bfloat16, enabled=config.precision == "bf16"):
        losses = [partial(task.losses, state.model, batch) for batch in micro_batches]
        metrics = train_step(state, losses, config)
    task.after_step(state.model, step)
    return {**metrics, "rate": rate}


def _evaluate_and_save(
    run: Run, state: TrainState, config: TrainConfig, task: Task[B]
) -> dict[str, float]:
    """Evaluate and save at their intervals and after the last step; return metrics."""
    metrics, last = dict[str, float](), state.step == config.steps
    if last or state.step % config.sample_every == 0:
        with torch.no_grad():
            metrics = task.evaluate(run, state.average, state.step)
    if last or state.step % config.save_every == 0:
        save_checkpoint(run.folder, state)
    return metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """A finished training.

    Attributes:
        run: its folder.
        steps: number of all steps.
        continued: the step at which this process resumed.
        seconds: duration of this process' training.
        metrics: means over the last hundred steps.
    """

    run: Run
    steps: int
    continued: int
    seconds: float
    metrics: dict[str, float]


def run_training(
    run: Run,
    state: TrainState,
    config: TrainConfig,
    task: Task[Any],
    export: Callable[[TrainState], None],
    *,
    title: str,
    progress: Progress = silent,
    tensorboard: bool = False,
) -> TrainingResult:
    """Train from the newest checkpoint of a run, or from the start, to the end.

    Args:
        run: its folder, which no other training may use. A finished run is extended.
        state: the networks at the start.
        config: steps, learning rate, intervals.
        task: batches, losses, evaluation.
        export: writes the result; called in the first process only.
        title: of the training, for the log.
        progress: called with the steps done.
        tensorboard: whether metrics are written there as well.

    Raises:
        MagkitError: the folder is in use, its checkpoints can't be read, the processes of the
            training found different ones, or as `train`.
    """
    with distributed.first_rank_context(lambda: file_lock(run.folder)):
        distributed.on_first_rank(run.remove_temporary)
        for broken in _restore(run, state):
            logger.warning("%s can't be read: going on from the checkpoint before it", broken)
        if run.extended_from is not None:
            distributed.on_first_rank(lambda: extend_run(run, state.step))
            ended = (run.folder, run.extended_from)
            logger.info("%s had ended after %d steps: it is trained further", *ended)
        start, began = state.step, time.monotonic()
        logger.info("%s%s", title, f", from step {start}" if start else "")
        train(run, state, config, task, progress, tensorboard=tensorboard)
        distributed.on_first_rank(lambda: export(state))
    return TrainingResult(
        run=run,
        steps=state.step,
        continued=start,
        seconds=time.monotonic() - began,
        metrics=recent_metrics(run.metrics),
    )


def _restore(run: Run, state: TrainState) -> list[Path]:
    """Restore the newest checkpoint, the same in all processes; return the broken ones."""
    broken = distributed.on_all_ranks(lambda: restore(run.folder, state))
    # Random weights may differ in a last bit between machines; saved ones don't.
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
