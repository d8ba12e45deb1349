"""A finished job of classes, opened again from its record: to judge it by other networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from magkit.errors import MagkitError
from magkit.invert.class_job import folder_of_classes, missing
from magkit.invert.class_plan import ClassPlan
from magkit.invert.job import KIND, RESULT
from magkit.invert.reopen import targets_of
from magkit.invert.settings import OWNER, InvertSettings
from magkit.invert.targets.choice import TargetChoice
from magkit.options import from_mapping
from magkit.training.run import Run, read_config


def holds_classes(folder: Path) -> bool:
    """Return whether a job is one of classes, rather than of masks.

    Raises:
        MagkitError: the folder holds no job.
    """
    return "classes" in read_config(KIND, folder)


def reopened_classes(
    folder: Path, weights: Sequence[Path]
) -> tuple[Run, ClassPlan, list[TargetChoice]]:
    """Return a job's run, plan and targets.

    Args:
        folder: of the job.
        weights: of the targets, in their order, where they were given when the job was made.

    Raises:
        MagkitError: the folder holds no job of classes, its pictures are not all there, or the
            weights are not those that it was made with.
    """
    config = read_config(KIND, folder)
    run = Run(folder, config, RESULT)
    try:
        plan = _plan(config["classes"])
        targets = targets_of(config["targets"], weights, folder)
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise MagkitError(f"{folder / 'config.json'} is not what magkit invert writes") from error
    lacking = missing(plan, folder_of_classes(run))
    if lacking:
        count = len(plan.pictures())
        raise MagkitError(
            f"{folder} lacks {len(lacking)} of its {count} pictures, {lacking[0]} for one",
            "the command that began the job goes on with it",
        )
    return run, plan, targets


def _plan(table: Mapping[str, Any]) -> ClassPlan:
    height, width = table["size"]
    return ClassPlan(
        labels=tuple(str(label) for label in table["labels"]),
        per_class=int(table["per_class"]),
        size=(int(height), int(width)),
        settings=from_mapping(InvertSettings, table["settings"], OWNER),
    )
