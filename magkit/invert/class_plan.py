"""What is to be made of a classifier's classes: how many pictures of each, how large, in batches.

Pictures of all classes share a batch: what layers remember is of all of them, not of one class.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain, count
from typing import Any

from magkit.errors import MagkitError, UsageError, did_you_mean
from magkit.invert.frame_optimizer import LoadedTarget
from magkit.invert.job import check_target
from magkit.invert.settings import InvertSettings
from magkit.protocols import Annotation

ALL = "all"
LONGEST = 60  # characters of a folder's name
# Names that Windows keeps for devices.
RESERVED = (
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
)


@dataclass(frozen=True, slots=True)
class ClassPicture:
    """One picture.

    Attributes:
        label: its class.
        number: among those of its class, from 0.
        stem: the name of its file, in a folder of its class.
    """

    label: str
    number: int
    stem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassPlan:
    """What is to be made.

    Attributes:
        labels: the classes.
        per_class: pictures of each.
        size: of a picture, height and width.
        settings: how they are made.
    """

    labels: tuple[str, ...]
    per_class: int
    size: tuple[int, int]
    settings: InvertSettings

    def pictures(self) -> list[ClassPicture]:
        """Return all pictures, class by class."""
        digits, folders = max(2, len(str(self.per_class - 1))), folder_names(self.labels)
        return [
            ClassPicture(label, number, f"{folder}/{number:0{digits}d}")
            for label, folder in zip(self.labels, folders, strict=True)
            for number in range(self.per_class)
        ]

    def batches(self) -> list[list[ClassPicture]]:
        """Return the pictures dealt to as few batches as the settings allow, of nearly one size."""
        pictures = self.pictures()
        most = -(-len(pictures) // self.settings.batch)
        return [pictures[number::most] for number in range(most)]

    def described(self) -> dict[str, Any]:
        """Return what determines the pictures, of JSON's types."""
        return {
            "labels": list(self.labels),
            "per_class": self.per_class,
            "size": list(self.size),
            "settings": asdict(self.settings),
        }


def folder_names(labels: Sequence[str]) -> list[str]:
    """Return a name of a folder for each class: all differ, and none leads elsewhere.

    What a weights file calls its classes may be anything.
    """
    found, taken = list[str](), set(RESERVED)
    for label in labels:
        plain = re.sub(r"[^A-Za-z0-9_ -]", "-", label)[:LONGEST].strip() or "class"
        tries = chain([plain], (f"{plain}-{number}" for number in count(2)))
        found.append(next(name for name in tries if name.casefold() not in taken))
        taken.add(found[-1].casefold())
    return found


def plan_classes(
    asked: str, per_class: int, targets: Sequence[LoadedTarget], settings: InvertSettings
) -> ClassPlan:
    """Return the plan of pictures of classes.

    Args:
        asked: names of classes, separated by commas; or "all" that every target knows.
        per_class: pictures of each.
        targets: what is inverted.
        settings: how.

    Raises:
        UsageError: a class is unknown, a target needs masks, or takes no pictures of this size.
        MagkitError: a target has no statistics, which count.
    """
    labels = _labels(asked, targets)
    for each in targets:
        _check_without_masks(each, labels[0])
    plan = ClassPlan(
        labels=labels,
        per_class=per_class,
        size=_size(settings.size, targets),
        settings=settings,
    )
    for each in targets:
        check_target(each, plan.size, settings.bn)
    return plan


def _labels(asked: str, targets: Sequence[LoadedTarget]) -> tuple[str, ...]:
    names = [each.strip() for each in asked.split(",")]
    if names == [ALL]:
        known = [set(each.target.classes) for each in targets]
        names = [name for name in targets[0].target.classes if all(name in k for k in known)]
        if not names:
            raise UsageError("the targets have no class in common", "name one target")
    if "" in names:
        raise UsageError(f"'{asked}' is no list of classes", "such as bird,ship, or all")
    for each in targets:
        for name in names:
            if name not in each.target.classes:
                raise UsageError(
                    f"'{each.name}' knows no class '{name}'",
                    did_you_mean(name, each.target.classes),
                )
    return tuple(dict.fromkeys(names))


def _size(height: int, targets: Sequence[LoadedTarget]) -> tuple[int, int]:
    """Return the size of pictures of a height; height 0: of those that a target was trained on."""
    sizes = [getattr(each.target, "size", None) for each in targets]
    own: tuple[int, int] | None = next((size for size in sizes if size is not None), None)
    if own is None and not height:
        raise UsageError(
            f"'{targets[0].name}' doesn't say how large its pictures are", "such as --size 224"
        )
    if own is None or not height:
        return own or (height, height)
    return height, max(1, round(own[1] / own[0] * height))


def _check_without_masks(each: LoadedTarget, label: str) -> None:
    try:
        each.target.labels([[Annotation(label)]])
    except MagkitError as error:
        raise UsageError(
            f"'{each.name}' can't be asked for classes alone: {error.message}",
            "--target names a classifier; --video or --masks say where things are",
        ) from error
