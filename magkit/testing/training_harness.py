"""Trainings of a method as `magkit pretrain` does them, on easy data and in a few seconds."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from magkit.options import option_pairs
from magkit.protocols import View
from magkit.runtime.seeds import derived_seed
from magkit.selfsup.model import EncoderNetwork, PretrainModel
from magkit.selfsup.monitor import EncoderMonitor
from magkit.selfsup.recipe import Recipe, make_recipe
from magkit.selfsup.task import FrameTask
from magkit.specs import MethodSpec
from magkit.testing.spec_checks import configured
from magkit.testing.toy_data import MAPS, ToyEncoder, ToyFrames
from magkit.training.loop import TrainState
from magkit.training.metrics import read_metrics
from magkit.training.run import Run
from magkit.training.train import run_training

BRANCH = "features"
PICTURES = 16  # that a loss or embeddings are looked at on
FRAMES = 4096
ENCODER, HEADS = 0, 1  # first parts of the keys of draws of random weights
# Crops and mirrors alone tell views apart; batches of 16 at a rate of 0.003.
SETTINGS: Mapping[str, Any] = {
    "batch": 16,
    "frame": 44,
    "size": 32,
    "scale": (0.4, 1.0),
    "jitter": (0.0, 0.0),
    "grey": (0.0, 0.0),
    "blur": (0.0, 0.0),
    "optimizer": "adamw",
    "lr": 0.048,
    "warmup": 5,
}


class Stopped(Exception):  # noqa: N818
    """A training was stopped, as a process may be at any time."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What became of a training.

    Attributes:
        learner: as it is at the end.
        metrics: what was measured, a record a step.
        warnings: what the training warned of, such as a collapse.
    """

    learner: PretrainModel
    metrics: Sequence[Mapping[str, Any]]
    warnings: Sequence[str]


@dataclass(frozen=True)
class Training:
    """How a method is trained, and with what settings over `SETTINGS`.

    Attributes:
        spec: what it is.
        options: KEY=VALUE texts over those of its first preset.
        branches: of the encoder; a method trains each.
        settings: of `magkit pretrain`, by their names.
    """

    spec: MethodSpec[Any]
    options: Sequence[str]
    branches: Sequence[str] = (BRANCH,)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def recipe(self) -> Recipe:
        """All settings."""
        return make_recipe(SETTINGS, self.settings)

    @property
    def source(self) -> ToyFrames:
        """The pictures."""
        return ToyFrames(FRAMES, self.recipe.frames.frame)

    def config(self) -> Any:
        """Return the method's configuration, as the command line makes it.

        Raises:
            UsageError: an option is refused, or doesn't suit the pictures.
        """
        first = next((preset.options for preset in self.spec.presets.values()), {})
        config = configured(self.spec, self.options, option_pairs(first))
        if self.spec.check is not None:
            self.spec.check(config, FRAMES, self.recipe.frames.batch)
        return config

    def learner(self) -> PretrainModel:
        """Return an encoder and the methods with random weights, functions of the seed."""
        seed, config = self.recipe.train.seed, self.config()
        torch.manual_seed(derived_seed(seed, ENCODER))
        encoder, methods = ToyEncoder(self.branches), {}
        for number, branch in enumerate(self.branches):
            torch.manual_seed(derived_seed(seed, HEADS, number))
            methods[branch] = self.spec.build(config, MAPS)
        return PretrainModel(encoder, methods)

    def taught(self, stops: Sequence[int] = ()) -> TrainingResult:
        """Train from the start to the end; stop after some steps, and go on in new networks."""
        with TemporaryDirectory() as folder:
            run = Run(Path(folder), {})
            for stop in stops:
                with _ends(stop):
                    self._train(run, stop)
            with _warned() as warnings:
                learner = self._train(run, None)
            return TrainingResult(learner, read_metrics(run.metrics), warnings)

    def learnt(self, taught: TrainingResult) -> PretrainModel:
        """Return new networks in the state that a training left others in."""
        learner = self.learner()
        learner.load_state_dict(taught.learner.state_dict())
        return learner

    def _train(self, run: Run, stop: int | None) -> PretrainModel:
        learner, recipe = self.learner(), self.recipe

        def progress(step: int, _: int | None) -> None:
            if step == stop:
                raise Stopped

        run_training(
            run,
            TrainState.start(learner.convert_batch_norms(), recipe.train),
            recipe.train,
            self.task(learner),
            lambda _: None,
            title=self.spec.name,
            progress=progress,
        )
        return learner

    def task(self, learner: PretrainModel) -> FrameTask:
        """Return what the learner is shown."""
        network = EncoderNetwork(
            encoder=learner.encoder,
            name="easy",
            config={},
            branches=tuple(self.branches),
            maps=dict.fromkeys(self.branches, MAPS),
        )
        recipe, source = self.recipe, self.source
        watch = EncoderMonitor(source, recipe, network, lambda _path, _step: None)
        return FrameTask(source, recipe, self.branches, torch.device("cpu"), 0, watch)

    def views(self, learner: PretrainModel) -> dict[str, list[View]]:
        """Return two views of the first pictures, by branch."""
        return self.task(learner).examples(PICTURES)


def summed(found: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
    """Return the sum of the terms of all branches."""
    return torch.stack([term for part in found.values() for term in part.values()]).sum()


def terms(learner: PretrainModel, views: Mapping[str, list[View]]) -> dict[str, dict[str, Tensor]]:
    """Return the loss terms of each branch, of draws that are always the same."""
    torch.manual_seed(0)
    return {branch: learner.losses(branch, pair) for branch, pair in views.items()}


class _Keeper(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def _warned() -> Iterator[list[str]]:
    """Collect what magkit warns of while the block runs."""
    keeper, logger = _Keeper(), logging.getLogger("magkit")
    logger.addHandler(keeper)
    try:
        yield keeper.texts
    finally:
        logger.removeHandler(keeper)


@contextmanager
def _ends(step: int) -> Iterator[None]:
    try:
        yield
    except Stopped:
        return
    raise AssertionError(f"a training of fewer than {step} steps")
