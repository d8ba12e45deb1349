"""Pretraining of an encoder: a job's parts are built, trained and exported to a run folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch

from magkit.errors import UsageError
from magkit.magnify.encoder import RUN, EncoderInfo, save_encoder
from magkit.options import option_pairs, parse_options
from magkit.plugins import registry
from magkit.progress import Progress, silent
from magkit.protocols import Method
from magkit.runtime import distributed
from magkit.runtime.seeds import derived_seed
from magkit.runtime.shard import default_workers
from magkit.selfsup.frame_source import ConcatFrames, FrameSource
from magkit.selfsup.frames import open_frames
from magkit.selfsup.job import PretrainJob, find_preset
from magkit.selfsup.label_probe import LabelledPictures, read_labelled
from magkit.selfsup.model import EncoderNetwork, PretrainModel, build_network
from magkit.selfsup.monitor import EncoderMonitor
from magkit.selfsup.pretrain_magnifier import pretrain_magnifier
from magkit.selfsup.recipe import Recipe, make_recipe
from magkit.selfsup.task import FrameTask
from magkit.specs import MethodSpec, Preset
from magkit.training.loop import TrainState
from magkit.training.run import Run, made_with, open_run, renamed_settings
from magkit.training.train import TrainingResult, check_batch, run_training

logger = logging.getLogger(__name__)

HEADS = 11  # first part of the key of the draw of methods' random weights


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
    """Train an encoder or a magnifier without labels, or resume a training that was stopped.

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
    if registry().method(job.method).trains == "magnifier":
        return pretrain_magnifier(
            job,
            output=output,
            new=new,
            device=device,
            workers=workers,
            progress=progress,
            tensorboard=tensorboard,
        )
    parts = distributed.on_all_ranks(lambda: _build_parts(job, device))
    recipe, network, source, model = parts.recipe, parts.network, parts.source, parts.model
    labelled = distributed.on_first_rank(lambda: _read_labelled(job, recipe.views.size))
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
    monitor = EncoderMonitor(source, recipe, network, export, labelled)
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
    if job.weights is not None:
        raise UsageError(
            f"the method '{spec.name}' trains an encoder from random weights",
            "leave out --weights; methods that train a whole magnifier take it",
        )
    preset = find_preset(spec, job.preset)
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
    source = _open_source(job, recipe.frames.frame)
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


def _open_source(job: PretrainJob, size: int) -> FrameSource:
    places = job.places or (None,)
    parts = [open_frames(place, size, scenes=job.scenes) for place in places]
    return parts[0] if len(parts) == 1 else ConcatFrames(*parts)


def _read_labelled(job: PretrainJob, size: int) -> LabelledPictures | None:
    return None if job.probe is None else read_labelled(job.probe, size)


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


def _check(spec: MethodSpec[Any], config: Any, recipe: Recipe, source: FrameSource) -> None:
    check_batch(recipe.frames.batch, recipe.train.accumulate, "frames")
    if spec.check is not None:
        spec.check(config, len(source), recipe.frames.batch)


def _build_model(
    spec: MethodSpec[Any], config: Any, network: EncoderNetwork, recipe: Recipe
) -> PretrainModel:
    methods = {}
    for number, branch in enumerate(network.branches):
        torch.manual_seed(derived_seed(recipe.train.seed, HEADS, number))
        methods[branch] = cast("Method", spec.build(config, network.maps[branch]))
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
