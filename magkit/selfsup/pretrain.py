"""Pretraining of an encoder: a job's parts are built, trained and exported to a run folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from magkit.errors import UsageError, did_you_mean
from magkit.magnify.encoder import RUN, EncoderInfo, save_encoder
from magkit.options import option_pairs, parse_options
from magkit.plugins import registry
from magkit.progress import Progress, silent
from magkit.runtime import distributed
from magkit.runtime.seeds import derived_seed
from magkit.runtime.shard import default_workers
from magkit.selfsup.frame_source import FrameSource
from magkit.selfsup.frames import open_frames
from magkit.selfsup.model import EncoderNetwork, PretrainModel, build_network
from magkit.selfsup.monitor import EncoderMonitor
from magkit.selfsup.recipe import Recipe, make_recipe
from magkit.selfsup.task import FrameTask
from magkit.specs import MethodSpec, Preset
from magkit.training.loop import TrainState
from magkit.training.run import Run, made_with, open_run, renamed_settings
from magkit.training.train import TrainingResult, run_training

logger = logging.getLogger(__name__)

HEADS = 11  # first part of the key of the draw of methods' random weights


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainJob:
    """Everything that determines the result of a pretraining.

    Attributes:
        method: name, as `--method` takes it.
        options: KEY=VALUE texts, the method's own.
        preset: one of the method's presets; None: its first.
        magnifier: whose encoder is trained; its name, as `--magnifier` takes it.
        magnifier_options: KEY=VALUE texts, the magnifier's own.
        backbone: a torchvision network to train in place of a magnifier's encoder.
        branch: of the encoder; "both": all that it has.
        data: where frames come from; None: see `open_frames`.
        scenes: how many scenes are rendered where there are no data.
        settings: of the training, over the preset; see `make_recipe`.
    """

    method: str
    options: Sequence[str] = ()
    preset: str | None = None
    magnifier: str = "magnet-fast"
    magnifier_options: Sequence[str] = ()
    backbone: str | None = None
    branch: str = "both"
    data: str | None = None
    scenes: int = 1000
    settings: Mapping[str, Any] = field(default_factory=dict)


def pretrain(
    job: PretrainJob,
    *,
    output: Path | None = None,
    new: bool = False,
    device: torch.device | str = "cpu",
    workers: int | None = None,
    progress: Progress = silent,
    tensorboard: bool = False,
) -> TrainingResult:
    """Train an encoder without labels, or resume a training that was stopped.

    A finished one is continued if nothing but more steps is asked for.

    Started by torchrun, the processes share each batch and its normalisation; the first one writes.

    Args:
        job: method, network, data and settings.
        output: the run's folder; None: see `open_run`.
        new: never resume a run.
        device: where to train.
        workers: processes that read frames; 0: this one; None: `default_workers()`.
        progress: called with the steps done.
        tensorboard: whether metrics are written there as well.

    Raises:
        MagkitError: frames or the run folder can't be used, or the training diverged.
        UsageError: a method, magnifier, option or setting is unknown, or does not suit the others.
    """
    parts = distributed.on_all_ranks(lambda: _build_parts(job, device))
    recipe, network, source, model = parts.recipe, parts.network, parts.source, parts.model
    run = distributed.on_first_rank(
        lambda: open_run(
            RUN,
            parts.identity,
            made_with=made_with(device),
            output=output,
            new=new,
            extendable=True,
            upgrade=renamed_settings,
        )
    )
    export = EncoderExport(model, network, parts.spec.name)
    monitor = EncoderMonitor(source, recipe, network, export)
    count = default_workers() if workers is None else workers
    task = FrameTask(source, recipe, network.branches, torch.device(device), count, monitor)
    distributed.on_first_rank(lambda: monitor.save_views(run, task))
    logger.info("settings: %s", parts.preset.why)
    return run_training(
        run,
        TrainState.start(model.convert_batch_norms(), recipe.train),
        recipe.train,
        task,
        lambda state: export(run.model, state.step),
        title=_title(run, parts.spec, network, source),
        progress=progress,
        tensorboard=tensorboard,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """A job's parts; runs of equal `identity`, all that determines the result, are the same."""

    spec: MethodSpec[Any]
    preset: Preset
    recipe: Recipe
    network: EncoderNetwork
    source: FrameSource
    model: PretrainModel
    identity: Mapping[str, Any]


def _build_parts(job: PretrainJob, device: torch.device | str) -> _Parts:
    spec = registry().method(job.method)
    preset = _preset(spec, job.preset)
    recipe = make_recipe(preset.settings, job.settings)
    network = build_network(
        job.magnifier,
        job.magnifier_options,
        job.backbone,
        job.branch,
        recipe.views.size,
        recipe.train.seed,
    )
    pairs = [*option_pairs(preset.options), *job.options]
    config = parse_options(spec.config, pairs, f"method '{spec.name}'")
    source = open_frames(job.data, recipe.frames.frame, scenes=job.scenes)
    _check(spec, config, recipe, source)
    return _Parts(
        spec=spec,
        preset=preset,
        recipe=recipe,
        network=network,
        source=source,
        model=_build_model(spec, config, network, recipe).to(device),
        identity=_identity(spec, config, network, recipe, source),
    )


@dataclass(frozen=True, slots=True)
class EncoderExport:
    """Writes the encoder of a model, as `magkit finetune --encoder` reads it."""

    model: PretrainModel
    network: EncoderNetwork
    method: str

    def __call__(self, path: Path, step: int) -> None:
        """Write the encoder as it is after so many steps."""
        info = EncoderInfo(
            magnifier=self.network.name,
            config=self.network.config,
            branches=self.network.branches,
            method=self.method,
            steps=step,
        )
        save_encoder(path, self.model.encoder.state_dict(), info, overwrite=True)


def _preset(spec: MethodSpec[Any], name: str | None) -> Preset:
    if name is None:
        return next(iter(spec.presets.values()), Preset(why="magkit's defaults"))
    if name not in spec.presets:
        problem = f"the method '{spec.name}' has no preset '{name}'"
        raise UsageError(problem, did_you_mean(name, spec.presets))
    return spec.presets[name]


def _check(spec: MethodSpec[Any], config: Any, recipe: Recipe, source: FrameSource) -> None:
    batch, world = recipe.frames.batch, distributed.world_size()
    if batch % (world * recipe.train.accumulate):
        raise UsageError(
            f"a batch of {batch} can't be shared by {world} processes in {recipe.train.accumulate}"
            " equal parts"
        )
    if spec.check is not None:
        spec.check(config, len(source), batch)


def _build_model(
    spec: MethodSpec[Any], config: Any, network: EncoderNetwork, recipe: Recipe
) -> PretrainModel:
    methods = {}
    for number, branch in enumerate(network.branches):
        torch.manual_seed(derived_seed(recipe.train.seed, HEADS, number))
        methods[branch] = spec.build(config, network.maps[branch])
    return PretrainModel(network.encoder, methods)


def _identity(
    spec: MethodSpec[Any],
    config: Any,
    network: EncoderNetwork,
    recipe: Recipe,
    source: FrameSource,
) -> dict[str, Any]:
    return {
        "method": spec.name,
        "options": asdict(config),
        "network": network.name,
        "network_options": dict(network.config),
        "branches": list(network.branches),
        "settings": recipe.result_settings(),
        "data": source.describe(),
    }


def _title(run: Run, spec: MethodSpec[Any], network: EncoderNetwork, source: FrameSource) -> str:
    count = sum(p.numel() for p in network.encoder.parameters())
    what = f"the encoder of {network.name} ({count:,} parameters, {' and '.join(network.branches)})"
    return f"training {what} by {spec.name} on {source} in {run.folder}"
