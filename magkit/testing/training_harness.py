"""Short trainings of a method on toy data, by the loop of `magkit pretrain`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from torch import Tensor

from magkit.options import option_pairs
from magkit.protocols import Method, View
from magkit.runtime.seeds import derived_seed
from magkit.selfsup.model import EncoderNetwork, PretrainModel
from magkit.selfsup.monitor import EncoderMonitor
from magkit.selfsup.recipe import Recipe, make_recipe
from magkit.selfsup.task import FrameTask
from magkit.specs import MethodSpec
from magkit.testing.spec_checks import parse_config
from magkit.testing.toy_data import MAPS, ToyEncoder, ToyFrames
from magkit.training.loop import TrainState
from magkit.training.metrics import read_metrics
from magkit.training.run import Run
from magkit.training.train import run_training

BRANCH = "features"
PICTURES = 16  # on which losses and embeddings are measured
FRAMES = 4096
ENCODER, HEADS = 0, 1  # random streams of initial weights
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
    """Interrupts a training, as a killed process would."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A finished training.

    Attributes:
        learner: the networks at the end.
        metrics: a record a step.
        warnings: logged messages, such as of a collapse.
    """

    learner: PretrainModel
    metrics: Sequence[Mapping[str, Any]]
    warnings: Sequence[str]


@dataclass(frozen=True)
class Training:
    """A training of a method.

    Attributes:
        spec: the method.
        options: KEY=VALUE texts over those of its first preset.
        branches: of the encoder, each trained by its own copy of the method.
        settings: of `magkit pretrain`, over `SETTINGS`.
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
        config = parse_config(self.spec, self.options, option_pairs(first))
        if self.spec.check is not None:
            self.spec.check(config, FRAMES, self.recipe.frames.batch)
        return config

    def learner(self) -> PretrainModel:
        """Return an encoder and a method for each branch, with weights drawn by the seed."""
        seed, config = self.recipe.train.seed, self.config()
        torch.manual_seed(derived_seed(seed, ENCODER))
        encoder, methods = ToyEncoder(self.branches), {}
        for number, branch in enumerate(self.branches):
            torch.manual_seed(derived_seed(seed, HEADS, number))
            methods[branch] = cast("Method", self.spec.build(config, MAPS))
        return PretrainModel(encoder, methods)

    @cached_property
    def result(self) -> TrainingResult:
        """The result of one uninterrupted training."""
        return self.train()

    def train(self, stops: Sequence[int] = ()) -> TrainingResult:
        """Train from the start to the end; stop after some steps and resume in new networks."""
        with TemporaryDirectory() as folder:
            run = Run(Path(folder), {})
            for stop in stops:
                with _stopped_at(stop):
                    self._train(run, stop)
            with _captured_warnings() as warnings:
                learner = self._train(run, None)
            return TrainingResult(learner, read_metrics(run.metrics), warnings)

    def restored(self) -> PretrainModel:
        """Return new networks in the state that the training left its own in."""
        learner = self.learner()
        learner.load_state_dict(self.result.learner.state_dict())
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
        """Return the pretraining task on the toy images."""
        network = EncoderNetwork(
            encoder=learner.encoder,
            name="toy",
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


def total_loss(found: Mapping[str, Mapping[str, Tensor]]) -> Tensor:
    """Return the sum of the loss terms of all branches."""
    return torch.stack([term for part in found.values() for term in part.values()]).sum()


def loss_terms(
    learner: PretrainModel, views: Mapping[str, list[View]]
) -> dict[str, dict[str, Tensor]]:
    """Return the loss terms of each branch, with torch's generator reset."""
    torch.manual_seed(0)
    return {branch: learner.losses(branch, pair) for branch, pair in views.items()}


@contextmanager
def _captured_warnings() -> Iterator[list[str]]:
    """Collect the messages of magkit's warnings while the block runs."""
    messages: list[str] = []
    handler, logger = logging.Handler(logging.WARNING), logging.getLogger("magkit")
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)


@contextmanager
def _stopped_at(step: int) -> Iterator[None]:
    try:
        yield
    except Stopped:
        return
    raise AssertionError(f"a training of fewer than {step} steps")
