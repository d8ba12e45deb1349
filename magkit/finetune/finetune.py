"""Finetuning of a magnifier: builds the parts of a job, trains, and exports to a run folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from magkit.data.open import open_dataset
from magkit.errors import UsageError
from magkit.finetune.initialization import Initialization, parameter_groups
from magkit.finetune.recipe import Recipe, make_recipe
from magkit.finetune.task import SceneTask, StoredData, SyntheticData, TrainData
from magkit.magnify.encoder import LoadReport, encoder_file
from magkit.magnify.load import save_weights, training_metadata
from magkit.plugins import registry
from magkit.progress import Progress, silent
from magkit.runtime import distributed
from magkit.runtime.files import file_digest
from magkit.runtime.shard import default_workers
from magkit.specs import MagnifierSpec
from magkit.synth.build import build_sources
from magkit.synth.scene import SceneConfig
from magkit.training.batch_norm import convert_batch_norm
from magkit.training.loop import TrainState
from magkit.training.run import Run, made_with, open_run, renamed_settings
from magkit.training.train import TrainingResult, check_batch, run_training

logger = logging.getLogger(__name__)

KIND = "finetune"


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneJob:
    """Everything that determines the result of a finetuning.

    Attributes:
        magnifier: name of the magnifier, as in `--magnifier`.
        options: the magnifier's options, as KEY=VALUE texts.
        settings: training settings, which override the magnifier's preset; see `make_recipe`.
        data: location of a data set; None: scenes are rendered on the fly from the sources that
            the next four attributes name.
        images: locations of background pictures, see `build_sources`.
        objects: locations of objects.
        object_images: location of the objects' pictures; None: beside the objects.
        procedural: number of procedural textures and objects to add; see `build_sources`.
        weights: a file of initial weights; None: random weights.
        encoder: an encoder to start from, as a file or a run folder; excludes `weights`.
        half: whether the result is rounded to half precision.
    """

    magnifier: str
    options: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: str | None = None
    images: Sequence[str] = ()
    objects: Sequence[str] = ()
    object_images: str | None = None
    procedural: int = 0
    weights: Path | None = None
    encoder: Path | None = None
    half: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneResult(TrainingResult):
    """A finished training of a magnifier.

    Attributes:
        encoder: report on the initial encoder weights; None if no encoder was given.
    """

    encoder: LoadReport | None = None


def finetune(
    job: FinetuneJob,
    *,
    output: Path | None = None,
    new: bool = False,
    device: torch.device | str = "cpu",
    workers: int | None = None,
    progress: Progress = silent,
    tensorboard: bool = False,
) -> FinetuneResult:
    """Train a magnifier on scenes with known motion, or resume an unfinished training.

    A finished run is extended if the job differs from it in a larger number of steps only.

    Started by torchrun, the processes share each batch; the first one writes.

    Args:
        job: the magnifier, initial weights, data and settings.
        output: the run's folder; None: see `open_run`.
        new: start a new run instead of resuming one.
        device: the device to train on.
        workers: processes that render scenes; 0: this one; None: `default_workers()`.
        progress: called with the number of finished steps.
        tensorboard: whether to log metrics to TensorBoard too.

    Raises:
        MagkitError: sources, data, weights or the run folder can't be used, or the training
            diverged.
        UsageError: the magnifier, an option or a setting is unknown, or some exclude each other.
    """
    parts = distributed.on_all_ranks(lambda: _build_parts(job, device))
    spec, recipe, config = parts.spec, parts.recipe, parts.config
    origin = {"weights": _resolved(job.weights), "encoder": _resolved(job.encoder)}
    run = distributed.on_first_rank(
        lambda: open_run(
            KIND,
            parts.identity,
            made_with=made_with(device, **origin),
            output=output,
            new=new,
            extendable=True,
            upgrade=renamed_settings,
        )
    )
    if parts.report is not None:
        logger.info("%s", parts.report)
    worker_count = default_workers() if workers is None else workers
    result = run_training(
        run,
        TrainState.start(parts.model, recipe.train, parts.groups),
        recipe.train,
        SceneTask(spec, recipe, parts.data, torch.device(device), worker_count),
        lambda state: _export(run, state, spec, config, recipe, half=job.half),
        title=_title(job, run, parts.model, parts.data),
        progress=progress,
        tensorboard=tensorboard,
    )
    return FinetuneResult(
        **{f.name: getattr(result, f.name) for f in fields(result)}, encoder=parts.report
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """A job's parts; runs of equal `identity`, all that determines the result, are the same."""

    spec: MagnifierSpec[Any]
    recipe: Recipe
    config: Any  # of the magnifier
    model: nn.Module
    report: LoadReport | None
    groups: list[dict[str, Any]] | None
    data: TrainData
    identity: Mapping[str, Any]


def _build_parts(job: FinetuneJob, device: torch.device | str) -> _Parts:
    spec = _trainable_spec(job.magnifier)
    recipe = make_recipe(spec.preset, job.settings)
    check_batch(recipe.batches.batch, recipe.train.accumulate, "scenes")
    initial = Initialization(spec, job.options, job.weights, job.encoder)
    config = initial.config()
    model, report = initial.network(config, recipe)
    if distributed.world_size() > 1:
        model = convert_batch_norm(model)
    model.to(device)
    data = _train_data(spec, job, recipe)
    return _Parts(
        spec=spec,
        recipe=recipe,
        config=config,
        model=model,
        report=report,
        groups=parameter_groups(model, spec, config, recipe.encoder),
        data=data,
        identity=_identity(spec, config, job, recipe, data),
    )


def _trainable_spec(name: str) -> MagnifierSpec[Any]:
    spec = registry().magnifier(name)
    if spec.losses is None:
        raise UsageError(f"the magnifier '{name}' can't be trained: it has no losses")
    return spec


def _train_data(spec: MagnifierSpec[Any], job: FinetuneJob, recipe: Recipe) -> TrainData:
    """Open the data set, or the sources to render scenes from.

    Raises:
        UsageError: a data set is combined with sources or scene settings.
    """
    if job.data is None:
        sources = build_sources(job.images, job.objects, job.object_images, job.procedural)
        return SyntheticData(sources)
    if job.images or job.objects or job.object_images or job.procedural:
        raise UsageError("--data excludes --images, --objects, --object-images and --procedural")
    for name in job.settings:
        if name in _scene_settings():
            raise UsageError(f"the scenes of a data set are fixed: '{name}' can't be set")
    return StoredData(open_dataset(job.data), job.data, spec, recipe)


def _scene_settings() -> set[str]:
    """Return the settings that a data set fixes: all but `size`, the side of crops."""
    return {f.name for f in fields(SceneConfig)} - {"size"}


def _identity(
    spec: MagnifierSpec[Any], config: Any, job: FinetuneJob, recipe: Recipe, data: TrainData
) -> dict[str, Any]:
    """Return everything that determines the result; a run is resumed only if it is equal."""
    settings, unused = recipe.result_settings(), _scene_settings() if job.data else set()
    return {
        "magnifier": spec.name,
        "options": asdict(config),
        "settings": {key: value for key, value in settings.items() if key not in unused},
        "data": data.describe(),
        "weights": _fingerprint(job.weights),
        "encoder": _fingerprint(job.encoder and encoder_file(job.encoder)),
    }


def _fingerprint(path: Path | None) -> str | None:
    return None if path is None else file_digest(path)


def _resolved(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())


def _title(job: FinetuneJob, run: Run, model: nn.Module, data: TrainData) -> str:
    count = sum(p.numel() for p in model.parameters())
    return f"training {job.magnifier} ({count:,} parameters) on {data} in {run.folder}"


def _export(
    run: Run,
    state: TrainState,
    spec: MagnifierSpec[Any],
    config: Any,
    recipe: Recipe,
    *,
    half: bool,
) -> None:
    metadata = training_metadata(
        spec,
        config,
        steps=state.step,
        seed=recipe.train.seed,
        settings=recipe.result_settings(),
    )
    save_weights(run.model, state.average, metadata, half=half)
