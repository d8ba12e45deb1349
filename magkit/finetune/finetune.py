"""One call from a magnifier's name and some pictures to a run folder with its weights."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import nn

from magkit.data.open import open_dataset
from magkit.errors import UsageError
from magkit.finetune.initialization import Initialization, parameter_groups
from magkit.finetune.recipe import Recipe, make_recipe
from magkit.finetune.task import RenderedData, SceneTask, StoredData, TrainData
from magkit.magnify.encoder import Report, encoder_file
from magkit.magnify.load import save_weights
from magkit.plugins import registry
from magkit.progress import Progress, silent
from magkit.runtime.shard import default_workers
from magkit.specs import MagnifierSpec
from magkit.synth.build import build_sources
from magkit.synth.scene import SceneConfig
from magkit.training.loop import TrainState
from magkit.training.run import Run, made_with, open_run
from magkit.training.train import Outcome, complete
from magkit.version import __version__

logger = logging.getLogger(__name__)

KIND = "finetune"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be trained, and on what.

    Attributes:
        magnifier: name, as `--magnifier` takes it.
        options: KEY=VALUE texts, the magnifier's own.
        settings: of the training, over the magnifier's preset; see `make_recipe`.
        data: where a data set stands, in place of scenes rendered as they are needed, which the
            next four are about.
        images: places of background pictures, as `build_sources` takes them.
        objects: places of objects.
        object_images: the place of their pictures; None: found beside them.
        procedural: how many procedural textures and objects to mix in; all, if nothing is given.
        weights: a file of weights to start from; None: random ones.
        encoder: an encoder to start from, its file or the folder of its run; not with weights.
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
class Finetuned(Outcome):
    """A finished training of a magnifier.

    Attributes:
        encoder: what was loaded of the encoder to start from.
    """

    encoder: Report | None = None


def finetune(
    job: Job,
    *,
    output: Path | None = None,
    new: bool = False,
    device: torch.device | str = "cpu",
    workers: int | None = None,
    progress: Progress = silent,
    tensorboard: bool = False,
) -> Finetuned:
    """Train a magnifier on scenes with known motion, or go on with a training that was stopped.

    One that had ended goes on where nothing but more steps is asked for.

    Args:
        job: what determines the result.
        output: the run's folder; None: see `open_run`.
        new: never go on with a run.
        device: where to train.
        workers: processes that render scenes; 0: this one; None: as many as suit the machine.
        progress: told about steps.
        tensorboard: whether what is measured goes there as well.

    Raises:
        MagkitError: sources, data, weights or the run folder can't be used, or the training
            diverged.
        UsageError: there is no such magnifier, option or setting, or they don't go together.
    """
    spec = _trainable(job.magnifier)
    recipe = make_recipe(spec.preset, job.settings)
    origin = Initialization(spec, job.options, job.weights, job.encoder)
    config = origin.config()
    model, report = origin.network(config, recipe)
    model.to(device)
    groups = parameter_groups(model, spec, config, recipe.encoder)
    material = _material(spec, job, recipe)
    compared = _compared(spec, config, job, recipe, material)
    run = open_run(
        KIND,
        compared,
        made_with=made_with(device, weights=_place(job.weights), encoder=_place(job.encoder)),
        output=output,
        new=new,
        extendable=True,
    )
    if report is not None:
        logger.info("%s", report)
    count = default_workers() if workers is None else workers
    done = complete(
        run,
        TrainState.start(model, recipe.train, groups),
        recipe.train,
        SceneTask(spec, recipe, material, torch.device(device), count),
        lambda state: _export(run, state, spec, config, recipe, half=job.half),
        title=_title(job, run, model, material),
        progress=progress,
        tensorboard=tensorboard,
    )
    return Finetuned(**{f.name: getattr(done, f.name) for f in fields(done)}, encoder=report)


def _trainable(name: str) -> MagnifierSpec[Any]:
    spec = registry().magnifier(name)
    if spec.losses is None:
        raise UsageError(f"the magnifier '{name}' is not one that is trained")
    return spec


def _material(spec: MagnifierSpec[Any], job: Job, recipe: Recipe) -> TrainData:
    """Return what the training is fed with.

    Raises:
        UsageError: a data set is named together with what only scenes made on the way have.
    """
    if job.data is None:
        sources = build_sources(job.images, job.objects, job.object_images, job.procedural)
        return RenderedData(sources)
    if job.images or job.objects or job.object_images or job.procedural:
        raise UsageError("a data set is made already: it takes no pictures or objects to make it")
    for name in job.settings:
        if name in _scene_settings():
            raise UsageError(f"the scenes of a data set are drawn already: '{name}' can't be set")
    return StoredData(open_dataset(job.data), job.data, spec, recipe)


def _scene_settings() -> set[str]:
    """Return the settings that scenes of a data set have already; `size` cuts a window."""
    return {f.name for f in fields(SceneConfig)} - {"size"}


def _compared(
    spec: MagnifierSpec[Any], config: Any, job: Job, recipe: Recipe, material: TrainData
) -> dict[str, Any]:
    """Return all that determines the result: two runs with the same are the same run."""
    settings, unused = recipe.compared(), _scene_settings() if job.data else set()
    return {
        "magnifier": spec.name,
        "options": asdict(config),
        "settings": {key: value for key, value in settings.items() if key not in unused},
        "data": material.described(),
        "weights": _fingerprint(job.weights),
        "encoder": _fingerprint(job.encoder and encoder_file(job.encoder)),
    }


def _fingerprint(path: Path | None) -> str | None:
    return None if path is None else sha256(path.read_bytes()).hexdigest()


def _place(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())


def _title(job: Job, run: Run, model: nn.Module, material: TrainData) -> str:
    count = sum(p.numel() for p in model.parameters())
    return f"training {job.magnifier} ({count:,} parameters) on {material} in {run.folder}"


def _export(
    run: Run,
    state: TrainState,
    spec: MagnifierSpec[Any],
    config: Any,
    recipe: Recipe,
    *,
    half: bool,
) -> None:
    texts = {
        "magnifier": spec.name,
        "config": json.dumps(asdict(config)),
        "steps": str(state.step),
        "seed": str(recipe.train.seed),
        "settings": json.dumps(recipe.compared()),
        "magkit": __version__,
    }
    save_weights(run.model, state.average, texts, half=half)
