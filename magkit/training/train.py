"""A whole training: from wherever its run stands to the end."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import nn

from magkit.progress import Progress, silent
from magkit.runtime.atomic import atomic_path
from magkit.runtime.seeds import derived_seed
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

    def batches(self, start: int) -> Iterable[B]:
        """Yield the batches of steps `start` and on: batch n must not depend on `start`."""
        ...

    def losses(self, model: nn.Module, batch: B) -> dict[str, torch.Tensor]:
        """Return the terms whose sum is to fall."""
        ...

    def picture(self, model: nn.Module) -> torch.Tensor:
        """Draw what the model makes of a few fixed examples: RGB (3, H, W) in [0, 1]."""
        ...


def train(
    run: Run,
    state: TrainState,
    config: TrainConfig,
    task: Task[B],
    progress: Progress = silent,
) -> None:
    """Do the steps that are left, measuring, saving and drawing as `config` says.

    Every draw is a function of (seed, step): a training that was stopped anywhere and goes on from
    a checkpoint equals one that never stopped; on a CPU with as many threads, to the bit.

    Args:
        run: where everything is written; hold it with `locked`.
        state: the networks, on their device, at the checkpoint to go on from.
        config: steps, rates, intervals.
        task: the batches, the losses, the sample picture.
        progress: told about steps.

    Raises:
        MagkitError: the training diverged, or the run can't be written.
    """
    progress(state.step, config.steps)
    with MetricsLog(run.metrics, state.step) as log:
        for batch in task.batches(state.step) if state.step < config.steps else ():
            torch.manual_seed(derived_seed(config.seed, DRAWS, state.step))
            rate = learning_rate(config, state.step)
            measured = train_step(state, partial(task.losses, state.model, batch), config)
            log.write(state.step, {**measured, "rate": rate})
            _keep(run, state, config, task)
            progress(state.step, config.steps)
            if state.step == config.steps:
                break


def _keep(run: Run, state: TrainState, config: TrainConfig, task: Task[B]) -> None:
    last = state.step == config.steps
    if last or state.step % config.sample_every == 0:
        with torch.no_grad():
            picture = task.picture(state.average)
        write_picture(run.samples / f"step-{state.step:06d}.png", picture)
    if last or state.step % config.save_every == 0:
        save_checkpoint(run.folder, state)


def write_picture(path: Path, picture: torch.Tensor) -> None:
    """Write RGB (3, H, W) in [0, 1] as a PNG, in place of one that is there."""
    pixels = (picture.detach().cpu().clamp(0, 1) * 255).round().byte()
    with (
        atomic_path(path, overwrite=True) as temporary,
        closing(Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0)))) as image,
    ):
        image.save(temporary)
