"""A finished job of classes, opened again from its record: to judge it by other networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from magkit.errors import MagkitError
from magkit.invert.class_job import folder_of_classes, missing
from magkit.invert.class_plan import ClassPlan
from magkit.invert.frames_on_disk import check_size
from magkit.invert.job import KIND, RESULT
from magkit.invert.reopen import size_of, targets_of
from magkit.invert.settings import OWNER, InvertSettings
from magkit.invert.targets.choice import TargetChoice
from magkit.invert.targets.files import MOST_CLASSES
from magkit.options import from_mapping
from magkit.runtime.json_object import WRONG
from magkit.training.run import Run, read_config

MOST_PICTURES = 1_000_000  # of a class


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
        MagkitError: the folder holds no job of classes, its pictures are not all there or of
            another size, or the weights are not those that it was made with.
    """
    config = read_config(KIND, folder)
    run = Run(folder, config, RESULT)
    try:
        plan = _plan(config["classes"])
        targets = targets_of(config["targets"], weights, folder)
    except WRONG as error:
        raise MagkitError(f"{folder / 'config.json'} is not what magkit invert writes") from error
    lacking = missing(plan, folder_of_classes(run))
    if lacking:
        count = len(plan.pictures())
        raise MagkitError(
            f"{folder} lacks {len(lacking)} of its {count} pictures, {lacking[0]} for one",
            "the command that began the job goes on with it",
        )
    for each in plan.pictures():
        check_size(folder_of_classes(run).frame(each.stem), plan.size)
    return run, plan, targets


def _plan(table: Mapping[str, Any]) -> ClassPlan:
    labels, per_class = table["labels"], table["per_class"]
    if not 1 <= len(labels) <= MOST_CLASSES or not all(isinstance(each, str) for each in labels):
        raise ValueError("the classes are no list of names")
    if type(per_class) is not int or not 1 <= per_class <= MOST_PICTURES:
        raise ValueError(f"{per_class!r} is no number of pictures")
    return ClassPlan(
        labels=tuple(labels),
        per_class=per_class,
        size=size_of(table["size"]),
        settings=from_mapping(InvertSettings, table["settings"], OWNER),
    )
