"""Pretraining of a whole magnifier: a job's parts are built, trained and exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from magkit.errors import UsageError
from magkit.magnify.encoder import RUN
from magkit.magnify.load import (
    check_stride,
    find_weights,
    read_configuration,
    save_weights,
    trainable_magnifier,
    training_metadata,
)
from magkit.options import option_pairs, parse_options
from magkit.plugins import registry
from magkit.progress import Progress, silent
from magkit.protocols import MagnifierMethod
from magkit.runtime import distributed
from magkit.runtime.files import file_digest
from magkit.runtime.shard import default_workers
from magkit.selfsup.job import PretrainJob, find_preset
from magkit.selfsup.magnifier_task import (
    MagnifierModel,
    MagnifierTask,
    WindowBatches,
    WindowConfig,
)
from magkit.selfsup.windows import WindowSource, open_windows
from magkit.specs import MagnifierSpec, MethodSpec
from magkit.training.config import TrainConfig, make_configs, result_settings
from magkit.training.loop import TrainState
from magkit.training.run import Run, made_with, open_run
from magkit.training.train import TrainingResult, check_batch, run_training

OWNER = "the pretraining"
MARGIN = 48  # pixels that windows are larger than the frames made of them, where clips allow it
DEFAULTS: Mapping[str, Any] = {
    "steps": 2000,
    "lr": 2e-4,
    "warmup": 30,
    "final_lr_ratio": 0.02,
    "ema": 0.995,
}


@dataclass(frozen=True, slots=True)
class Parts:
    """A job's parts; runs of equal `identity`, all that determines the result, are the same."""

    method: str
    magnifier: MagnifierSpec[Any]
    config: Any  # of the magnifier
    model: MagnifierModel
    train: TrainConfig
    windows: WindowConfig
    source: WindowSource
    identity: Mapping[str, Any]


def pretrain_magnifier(
    job: PretrainJob,
    *,
    output: Path | None = None,
    new: bool = False,
    device: torch.device | str = "cpu",
    workers: int | None = None,
    progress: Progress = silent,
    tensorboard: bool = False,
) -> TrainingResult:
    """Train a whole magnifier without labels; see `pretrain` for arguments and errors."""
    parts = distributed.on_all_ranks(lambda: build_parts(job, device))
    run = distributed.on_first_rank(
        lambda: open_run(
            RUN,
            parts.identity,
            made_with=made_with(device),
            output=output,
            new=new,
            extendable=True,
        )
    )
    return train_magnifier(
        parts, run, device=device, workers=workers, progress=progress, tensorboard=tensorboard
    )


def train_magnifier(
    parts: Parts,
    run: Run,
    *,
    device: torch.device | str = "cpu",
    workers: int | None = None,
    progress: Progress = silent,
    tensorboard: bool = False,
) -> TrainingResult:
    """Train from the newest checkpoint of a run to the end; see `run_training`."""
    batches = WindowBatches(parts.source, parts.model.method, parts.windows, parts.train)
    count = default_workers() if workers is None else workers
    name = parts.magnifier.name
    return run_training(
        run,
        TrainState.start(parts.model, parts.train),
        parts.train,
        MagnifierTask(batches, parts.train, torch.device(device), count),
        lambda state: _export(run, state, parts),
        title=f"training {name} by {parts.method} on {parts.source} in {run.folder}",
        progress=progress,
        tensorboard=tensorboard,
    )


def build_parts(
    job: PretrainJob, device: torch.device | str, source: WindowSource | None = None
) -> Parts:
    """Build what a job names.

    Args:
        job: the method, the magnifier, data and settings.
        device: of the magnifier.
        source: windows in place of the job's data.

    Raises:
        MagkitError: data or weights can't be used.
        UsageError: a magnifier, an option or a setting is unknown, or does not suit the others.
    """
    spec: MethodSpec[Any] = registry().method(job.method)
    if job.backbone is not None or job.branch != "both":
        raise UsageError(
            f"the method '{spec.name}' trains a whole magnifier, not an encoder",
            "leave out --backbone and --branch",
        )
    if job.probe is not None:
        raise UsageError(
            f"the method '{spec.name}' trains a whole magnifier, and a probe is for encoders",
            "leave out --probe; `magkit evaluate encoder --probe` measures an encoder",
        )
    preset = find_preset(spec, job.preset)
    train, windows = make_configs(
        (TrainConfig, WindowConfig), [DEFAULTS, preset.settings, job.settings], OWNER
    )
    pairs = [*option_pairs(preset.options), *job.options]
    options = parse_options(spec.config, pairs, f"method '{spec.name}'")
    magnifier = registry().magnifier(job.magnifier)
    path = None if job.weights is None else find_weights(magnifier, job.weights)
    config, network = _network(magnifier, path, job.magnifier_options, train.seed)
    check_stride(network, magnifier.name, windows.size, "frames")
    method = cast("MagnifierMethod[Any]", spec.build(options, cast("Any", magnifier)))
    freeze(network, method.frozen)
    check_batch(windows.batch, train.accumulate, "windows", method.group)
    source = source or open_windows(job.places, windows.size + MARGIN, scenes=job.scenes)
    return Parts(
        method=spec.name,
        magnifier=magnifier,
        config=config,
        model=MagnifierModel(network, method).to(device),
        train=train,
        windows=windows,
        source=source,
        identity={
            "method": spec.name,
            "options": asdict(options),
            "network": magnifier.name,
            "network_options": asdict(config),
            "weights": path and file_digest(path),
            "settings": result_settings(train, windows),
            "data": source.describe(),
        },
    )


def _network(
    spec: MagnifierSpec[Any], path: Path | None, options: Sequence[str], seed: int
) -> tuple[Any, nn.Module]:
    """Return a magnifier's configuration and the magnifier, with its initial weights."""
    if spec.losses is None:
        raise UsageError(f"the magnifier '{spec.name}' can't be trained: it has no losses")
    if path is None:
        config = parse_options(spec.config, options, f"magnifier '{spec.name}'")
    else:
        config = read_configuration(spec, path, options)
    return config, trainable_magnifier(spec, config, path, options, seed)


def freeze(network: nn.Module, patterns: Sequence[str]) -> None:
    """Switch off the gradients of parameters whose names fit patterns.

    Raises:
        UsageError: a pattern fits none, or all are frozen.
    """
    parameters = dict(network.named_parameters())
    for pattern in patterns:
        names = [name for name in parameters if fnmatchcase(name, pattern)]
        if not names:
            raise UsageError(
                f"no parameter of the magnifier fits the pattern '{pattern}'",
                f"parameters are {next(iter(parameters))}, ...",
            )
        for name in names:
            parameters[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise UsageError("all parameters of the magnifier are frozen: nothing would be trained")


def _export(run: Run, state: TrainState, parts: Parts) -> None:
    average: Any = state.average
    metadata = training_metadata(
        parts.magnifier,
        parts.config,
        steps=state.step,
        seed=parts.train.seed,
        settings=parts.identity["settings"],
    )
    # An adaptation that was interrupted after its training exports the same weights again.
    save_weights(run.model, average.magnifier, {**metadata, "method": parts.method}, overwrite=True)
