"""Checks of a method that trains whole magnifiers: `magkit.protocols.MagnifierMethod`."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from magkit.options import option_pairs
from magkit.plugins import registry
from magkit.runtime.seeds import generator
from magkit.selfsup.magnifier_task import (
    MagnifierModel,
    MagnifierTask,
    WindowBatches,
    WindowConfig,
)
from magkit.selfsup.pretrain_magnifier import freeze
from magkit.specs import MethodSpec
from magkit.testing.assertions import (
    Check,
    differing_tensors,
    finite_terms,
    listed,
    require,
    same,
)
from magkit.testing.spec_checks import parse_config, spec_checks
from magkit.training.config import TrainConfig
from magkit.training.loop import TrainState
from magkit.training.run import Run
from magkit.training.train import run_training

MAGNIFIER, OPTIONS = "magnet-fast", ("stem=8", "width=8", "guide=8", "hidden=8")
SIZE, WINDOWS, FRAMES = 64, 6, 5  # pixels of a frame; windows, and frames of each
STEPS, STOP = 3, 1


class ToyWindows:
    """Windows of smooth noise that drifts; the last one is a still picture."""

    def __len__(self) -> int:
        return WINDOWS

    def __str__(self) -> str:
        return f"{WINDOWS} toy windows"

    def windows(self, indices: Sequence[int]) -> list[Tensor]:
        """Return windows, uint8 (K, 3, 128, 128)."""
        return [self._window(index) for index in indices]

    def describe(self) -> dict[str, Any]:
        """Return what they are."""
        return {"toy": WINDOWS}

    def _window(self, index: int) -> Tensor:
        coarse = torch.rand(1, 3, 24, 24, generator=generator(0, index))
        whole = nn.functional.interpolate(coarse, 144, mode="bicubic", align_corners=False)
        picture = (whole[0] * 255).clamp(0, 255).byte()
        count = 1 if index == WINDOWS - 1 else FRAMES
        return torch.stack([picture[:, step : step + 128, 8:136] for step in range(count)])


@dataclass(frozen=True)
class Training:
    """A short training of a small magnifier on toy windows."""

    spec: MethodSpec[Any]
    options: Sequence[str]

    def method(self) -> Any:
        """Build the method."""
        first = next((preset.options for preset in self.spec.presets.values()), {})
        config = parse_config(self.spec, self.options, option_pairs(first))
        magnifier: Any = registry().magnifier(MAGNIFIER)
        return self.spec.build(config, magnifier)

    def model(self) -> MagnifierModel:
        """Return a small magnifier, its teacher and the method, always of the same weights."""
        torch.manual_seed(0)
        spec = registry().magnifier(MAGNIFIER)
        network: Any = spec.build(parse_config(spec, OPTIONS))
        method = self.method()
        freeze(network, method.frozen)
        return MagnifierModel(network.train(), method)

    def batches(self, method: Any) -> WindowBatches:
        """Return the batches of a training."""
        config = WindowConfig(batch=method.group, size=SIZE)
        return WindowBatches(ToyWindows(), method, config, self.train_config)

    @property
    def train_config(self) -> TrainConfig:
        """Return the settings of the loop."""
        return TrainConfig(steps=STEPS, lr=1e-3, ema=0.9, save_every=STOP, sample_every=STEPS)

    def terms(self, model: MagnifierModel, step: int = 0) -> dict[str, Tensor]:
        """Return the loss terms of a batch."""
        batch = self.batches(model.method)[step][0]
        found: dict[str, Tensor] = model.method.losses(model.magnifier, model.teacher, batch)
        return found

    @cached_property
    def result(self) -> MagnifierModel:
        """The networks after an uninterrupted training."""
        return self.train(STEPS)

    def train(self, *ends: int) -> MagnifierModel:
        """Train to each of the ends in turn, in new networks each time, from the last state."""
        with TemporaryDirectory() as folder:
            run = Run(Path(folder), {})
            for end in ends:
                model = self.model()
                task = MagnifierTask(
                    self.batches(model.method), self.train_config, torch.device("cpu"), 0
                )
                _run_until(run, model, self.train_config, task, end)
            return model


class _Stopped(Exception):  # noqa: N818
    """Interrupts a training, as a killed process would."""


def _run_until(
    run: Run, model: MagnifierModel, config: TrainConfig, task: MagnifierTask, end: int
) -> None:
    def progress(step: int, _: int | None) -> None:
        if step == end < config.steps:
            raise _Stopped

    state = TrainState.start(model, config)
    try:
        run_training(run, state, config, task, lambda _: None, title="", progress=progress)
    except _Stopped:
        return


def magnifier_method_checks(spec: MethodSpec[Any], options: Sequence[str]) -> list[Check]:
    """Return the checks of a method that trains whole magnifiers.

    A small `magnet-fast` is trained by magkit's loop on toy windows of 128 x 128 pixels.
    """
    training = Training(spec, options)
    return [
        *spec_checks(spec, options),
        Check("builds", partial(_builds, training)),
        Check("batches-are-pure", partial(_batches, training)),
        Check("loss-terms-are-named-finite-scalars", partial(_terms, training)),
        Check("trains", partial(_trains, training)),
        Check("teacher-follows", partial(_teacher, training)),
        Check("resumes-to-the-bit", partial(_resumes, training)),
    ]


def _builds(training: Training) -> None:
    method = training.method()
    require(
        isinstance(method.keyed, bool),
        f"keyed is {method.keyed!r} where magkit asks for True or False: say which",
    )
    require(
        isinstance(method.group, int) and method.group > 0,
        f"group is {method.group!r}: say how many windows are made together, 1 if any number is",
    )
    pickle.loads(pickle.dumps(method))  # of this very process


def _batches(training: Training) -> None:
    """Require equal bytes from equal arguments, from a copy, and beside other windows."""
    method = training.method()
    copied = pickle.loads(pickle.dumps(method))
    windows = ToyWindows().windows([n % WINDOWS for n in range(2 * method.group)])
    state = torch.random.get_rng_state()
    once = method.batch(windows, 0, SIZE, 7)
    require(
        torch.equal(state, torch.random.get_rng_state()),
        "batch draws from torch's global generator: draw from one that `first` and `seed` make",
    )
    require(
        _equal(once, copied.batch(windows, 0, SIZE, 7)),
        "two equal calls of batch give different batches: draw from `first` and `seed` alone",
    )
    require(
        not _equal(once, method.batch(windows, 0, SIZE, 8)),
        "batch ignores the seed: let all draws depend on it",
    )


def _equal(one: Any, other: Any) -> bool:
    ours, theirs = list(_tensors(one)), list(_tensors(other))
    return len(ours) == len(theirs) and all(map(same, ours, theirs))


def _tensors(batch: Any) -> Iterator[Tensor]:
    """Yield the tensors of records, mappings and sequences."""
    if isinstance(batch, Tensor):
        yield batch
    elif is_dataclass(batch):
        for each in fields(batch):
            yield from _tensors(getattr(batch, each.name))
    elif isinstance(batch, Mapping):
        yield from _tensors(list(batch.values()))
    elif isinstance(batch, Sequence) and not isinstance(batch, str):
        for each in batch:
            yield from _tensors(each)


def _terms(training: Training) -> None:
    model = training.model()
    finite_terms(training.terms(model))
    with torch.autocast("cpu", torch.bfloat16):
        finite_terms(training.terms(model, 1), " under --precision bf16")


def _trains(training: Training) -> None:
    start, end = training.model().magnifier, training.result.magnifier
    names = {name for name, p in start.named_parameters() if p.requires_grad}
    moved = set(differing_tensors(start.state_dict(), end.state_dict()))
    require(
        bool(moved & names),
        f"{STEPS} steps leave the magnifier as it was: let the loss depend on it",
    )
    stray = sorted(moved - names - {name for name, _ in start.named_buffers()})
    require(not stray, f"frozen parameters have changed: {listed(stray)}; leave them as they are")


def _teacher(training: Training) -> None:
    start, end = training.model().teacher, training.result.teacher
    if start is not None and end is not None:
        require(
            differing_tensors(start.state_dict(), end.state_dict()),
            "the teacher stays as it was: move it in after_step, or say keyed = False",
        )
        require(
            not any(p.requires_grad for p in end.parameters()),
            "the teacher got gradients switched on: leave them off",
        )


def _resumes(training: Training) -> None:
    whole, stopped = training.result, training.train(STOP, STEPS)
    differ = differing_tensors(whole.state_dict(), stopped.state_dict())
    require(
        not differ,
        f"stopped and gone on with, a training ends with another {listed(differ)}: what outlives a"
        " step belongs into parameters and buffers",
    )
