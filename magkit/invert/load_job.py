"""A finished job, loaded from its record: to judge it by other networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from magkit.errors import MagkitError, UsageError
from magkit.invert.class_job import folder_of_classes, missing
from magkit.invert.class_plan import ClassPlan
from magkit.invert.davis import Clip, find_davis, open_masks, open_video_masks
from magkit.invert.frames_on_disk import check_size
from magkit.invert.job import KIND, RESULT, folder_of, masks_mark
from magkit.invert.plan import ClipPlan
from magkit.invert.settings import OWNER, InvertSettings
from magkit.invert.targets.load import MOST_CLASSES, TargetChoice
from magkit.options import from_mapping, option_pairs
from magkit.runtime.text import MALFORMED
from magkit.training.run import Run, read_config

MOST_SIDE = 1 << 16  # pixels


def load_job(
    folder: Path, davis: Path | None, weights: Sequence[Path]
) -> tuple[Run, list[ClipPlan], list[TargetChoice]]:
    """Return a job's run, plans and targets.

    Args:
        folder: of the job.
        davis: the folder of DAVIS; None: where it usually is.
        weights: of the targets, in their order, where they were given when the job was made.

    Raises:
        MagkitError: the folder holds no job, its frames are not all there or of another size, or
            masks or weights are not those that it was made with.
    """
    config = read_config(KIND, folder)
    run = Run(folder, config, RESULT)
    try:
        clips = {name: dict(table) for name, table in config["clips"].items()}
        targets = targets_of(config["targets"], weights, folder)
        plans = [_plan(name, table, davis) for name, table in clips.items()]
    except MALFORMED as error:
        raise MagkitError(f"{folder / 'config.json'} is not what magkit invert writes") from error
    if masks_mark(plans) != config.get("masks"):
        raise MagkitError(
            f"the masks are not those that {folder} was made of", "--davis names where they lie"
        )
    for plan in plans:
        missing = [f.stem for f in plan.frames if not folder_of(run, plan).has(f.stem)]
        if missing:
            raise MagkitError(
                f"'{plan.name}' lacks {len(missing)} of its {len(plan.frames)} frames, "
                f"{missing[0]} for one",
                "the command that began the job goes on with it",
            )
        for each in plan.frames:
            check_size(folder_of(run, plan).frame(each.stem), plan.size)
    return run, plans, targets


def size_of(sides: Any) -> tuple[int, int]:
    """Return a recorded height and width.

    Raises:
        ValueError, TypeError: it isn't one.
    """
    height, width = sides
    for side in (height, width):
        if type(side) is not int or not 1 <= side <= MOST_SIDE:
            raise ValueError(f"{side!r} is no side of a picture")
    return height, width


def targets_of(
    tables: Sequence[Mapping[str, Any]], weights: Sequence[Path], folder: Path
) -> list[TargetChoice]:
    """Return a job's targets.

    Args:
        tables: as `TargetChoice.described` made them.
        weights: of the targets, in their order, where they were given when the job was made.
        folder: of the job, for messages.

    Raises:
        UsageError: there are more weights than targets.
        MagkitError: weights can't be read, or are not those that the job was made with.
        WRONG: a table is damaged.
    """
    if len(weights) > len(tables):
        raise UsageError(f"{len(weights)} weights files are given, more than {folder} has targets")
    return [_target(table, weights, number) for number, table in enumerate(tables)]


def _target(table: Mapping[str, Any], weights: Sequence[Path], number: int) -> TargetChoice:
    path = weights[number] if number < len(weights) else None
    options = tuple(option_pairs(table["options"]))
    choice = TargetChoice(table["name"], table["weight"], path, options)
    try:
        mark = choice.described()["weights"]
    except OSError as error:
        raise MagkitError(
            f"the weights of '{choice.name}' can't be read: {error.filename}",
            "name them: --weights",
        ) from error
    if mark != table["weights"] and path is None:
        raise MagkitError(
            f"'{table['name']}' was inverted with weights of a file", "name it: --weights FILE"
        )
    if mark != table["weights"]:
        raise MagkitError(
            f"these are not the weights of '{table['name']}' that were inverted",
            "give with --weights what the job was made with",
        )
    return choice


def _plan(name: str, table: Mapping[str, Any], davis: Path | None) -> ClipPlan:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"{name} lies outside of the job")
    clip = _clip(table, davis)
    frames = {frame.stem: frame for frame in clip.frames}
    missing = [stem for stem in table["frames"] if stem not in frames]
    if missing:
        raise MagkitError(f"'{clip.name}' has no mask {missing[0]} any more")
    classes = tuple(table["objects"].values())
    if not table["frames"] or not all(isinstance(each, str) for each in classes):
        raise ValueError(f"{name} names no frames, or classes that are no names")
    return ClipPlan(
        name=name,
        clip=clip.name,
        masks_folder=table["masks"],
        frames=tuple(frames[stem] for stem in table["frames"]),
        objects=tuple(int(label) for label in table["objects"]),
        classes=classes,
        source=size_of(table["source"]),
        size=size_of(table["size"]),
        settings=from_mapping(InvertSettings, table["settings"], OWNER),
        own={int(number): own for number, own in table["own"].items()},
    )


def _clip(table: Mapping[str, Any], davis: Path | None) -> Clip:
    if table["masks"] is not None:
        return open_masks(Path(table["masks"]))
    return open_video_masks(find_davis(davis), table["clip"])


MOST_PICTURES = 1_000_000  # of a class


def holds_classes(folder: Path) -> bool:
    """Return whether a job is one of classes, rather than of masks.

    Raises:
        MagkitError: the folder holds no job.
    """
    return "classes" in read_config(KIND, folder)


def load_class_job(
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
        plan = _class_plan(config["classes"])
        targets = targets_of(config["targets"], weights, folder)
    except MALFORMED as error:
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


def _class_plan(table: Mapping[str, Any]) -> ClassPlan:
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
