"""Loads a finished job from its record, to judge it by other networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from magkit.errors import MagkitError, UsageError
from magkit.invert.davis import find_davis, open_masks, open_video_masks
from magkit.invert.frames_on_disk import check_image_size
from magkit.invert.job import KIND, RESULT, Plan, masks_hash, missing, upgrade_config
from magkit.invert.plan import ClassPlan, ClipPlan
from magkit.invert.settings import settings_from
from magkit.invert.targets.load import MAX_CLASSES, TargetChoice, recorded_target
from magkit.runtime.text import MALFORMED
from magkit.training.run import Run, read_config

MAX_SIDE = 1 << 16  # pixels
MAX_PER_CLASS = 1_000_000


def load_job(
    folder: Path, davis: Path | None, weights: Sequence[Path]
) -> tuple[Run, list[ClipPlan] | list[ClassPlan], list[TargetChoice]]:
    """Load a finished job from its record.

    Args:
        folder: of the run.
        davis: the folder of DAVIS; None: where `find_davis` finds it.
        weights: of the targets, in their order, where weights were given when the job was made.

    Raises:
        UsageError: there are more weights than targets.
        MagkitError: the folder holds no job, images are missing or of another size, or masks or
            weights are not those that it was made with.
    """
    run = Run(folder, upgrade_config(read_config(KIND, folder)), RESULT)
    plans: list[ClipPlan] | list[ClassPlan]
    try:
        targets = _recorded_targets(run, weights)
        if "classes" in run.config:
            plans = [_recorded_classes(run.config["classes"])]
        else:
            plans = [
                _recorded_clip(name, table, davis) for name, table in run.config["clips"].items()
            ]
            if masks_hash(plans) != run.config.get("masks"):
                raise MagkitError(
                    f"the masks are not those that {folder} was made of",
                    "--davis names where they lie",
                )
    except MALFORMED as error:
        raise MagkitError(f"{folder / 'config.json'} is not what magkit invert writes") from error
    for plan in plans:
        _check_images(plan, folder)
    return run, plans, targets


def _check_images(plan: Plan, run: Path) -> None:
    if lacking := missing(plan, run):
        owner, kind = (
            (run, "pictures") if isinstance(plan, ClassPlan) else (f"'{plan.name}'", "frames")
        )
        raise MagkitError(
            f"{owner} lacks {len(lacking)} of its {len(plan.stems())} {kind}, {lacking[0]} for one",
            "the command that began the job goes on with it",
        )
    for stem in plan.stems():
        check_image_size(plan.folder(run).frame(stem), plan.size)


def _recorded_targets(run: Run, weights: Sequence[Path]) -> list[TargetChoice]:
    tables = run.config["targets"]
    if len(weights) > len(tables):
        raise UsageError(
            f"{len(weights)} weights files are given, more than {run.folder} has targets"
        )
    paths = [*weights, *[None] * (len(tables) - len(weights))]
    return [recorded_target(table, path) for table, path in zip(tables, paths, strict=True)]


def _recorded_clip(name: str, table: Mapping[str, Any], davis: Path | None) -> ClipPlan:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"{name} lies outside of the job")
    if table["masks"] is not None:
        clip = open_masks(Path(table["masks"]))
    else:
        clip = open_video_masks(find_davis(davis), table["clip"])
    frames = {frame.stem: frame for frame in clip.frames}
    lacking = [stem for stem in table["frames"] if stem not in frames]
    if lacking:
        raise MagkitError(f"'{clip.name}' has no mask {lacking[0]} any more")
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
        source=_recorded_size(table["source"]),
        size=_recorded_size(table["size"]),
        settings=settings_from(table["settings"]),
        frame_settings={int(number): own for number, own in table["own"].items()},
    )


def _recorded_classes(table: Mapping[str, Any]) -> ClassPlan:
    labels, per_class = table["labels"], table["per_class"]
    if not 1 <= len(labels) <= MAX_CLASSES or not all(isinstance(each, str) for each in labels):
        raise ValueError("the classes are no list of names")
    if type(per_class) is not int or not 1 <= per_class <= MAX_PER_CLASS:
        raise ValueError(f"{per_class!r} is no number of pictures")
    return ClassPlan(
        labels=tuple(labels),
        per_class=per_class,
        size=_recorded_size(table["size"]),
        settings=settings_from(table["settings"]),
    )


def _recorded_size(sides: Any) -> tuple[int, int]:
    """Return a recorded height and width; ValueError or TypeError: it isn't one."""
    height, width = sides
    for side in (height, width):
        if type(side) is not int or not 1 <= side <= MAX_SIDE:
            raise ValueError(f"{side!r} is no side of a picture")
    return height, width
