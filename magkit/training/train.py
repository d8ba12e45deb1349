"""A whole training: from wherever its run stands to the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import nn

from magkit.progress import Progress, silent
from magkit.runtime import ranks
from magkit.runtime.atomic import atomic_path
from magkit.runtime.seeds import derived_seed
from magkit.training.board import opened
from magkit.training.checkpoint import save_checkpoint
from magkit.training.config import TrainConfig
from magkit.training.loop import TrainState, train_step
from magkit.training.metrics import MetricsLog
from magkit.training.run import Run
from magkit.training.schedule import learning_rate

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
        ranks.first(lambda: opened(run.folder, state.step, wanted=tensorboard)) as show,
        ranks.first(lambda: MetricsLog(run.metrics, state.step)) as log,
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
