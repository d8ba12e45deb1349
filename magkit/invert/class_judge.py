"""What networks take pictures of classes for: the targets, and a verifier that took no part.

The target sees what it was made to see; the verifier is what counts. Beside the pictures stands
noise, which needs no inversion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from magkit.invert.class_plan import ClassPicture, ClassPlan
from magkit.invert.frame_optimizer import LoadedTarget
from magkit.invert.frames_on_disk import Folder, picture
from magkit.invert.job import load_target
from magkit.invert.measures import noise
from magkit.invert.targets.load import TargetChoice

CONTROLS = 10  # pictures of noise of a class, at most
AT_A_TIME = 32  # pictures that a network looks at

Judges = Mapping[str, LoadedTarget]
"""Who looks at the pictures, by the part that they play: target, or target1 and so on; verifier."""

Row = dict[str, Any]
"""A picture: its name, its class, and what each judge takes it for, and how surely."""


def class_judges(
    targets: Sequence[TargetChoice], verifier: TargetChoice | None, device: torch.device
) -> dict[str, LoadedTarget]:
    """Build those that look at the pictures."""
    several = len(targets) > 1
    found = {f"target{n}" if several else "target": each for n, each in enumerate(targets, 1)}
    if verifier is not None:
        found["verifier"] = verifier
    return {part: load_target(each, device) for part, each in found.items()}


def judge_classes(
    plan: ClassPlan,
    folder: Folder,
    judges: Judges,
    device: torch.device,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Return all that is measured of a job's pictures, of JSON's types.

    "pictures": a row for each; "mean": which part of them each judge takes for what was asked;
    "classes": the same of each class; "noise": the same of noise of which the same is asked.
    A judge that doesn't know a class has no say about it.

    Args:
        plan: what was made.
        folder: where it lies.
        judges: who looks.
        device: where they are.
        progress: told how many pictures were looked at.

    Raises:
        MagkitError: a picture can't be read.
    """
    pictures = plan.pictures()
    controls = [each for each in pictures if each.number < CONTROLS]
    rows = _rows(pictures, lambda e: picture(folder.frame(e.stem)), judges, device, progress)
    still = _rows(
        controls,
        lambda e: noise(plan.size, plan.settings.seed, plan.labels.index(e.label), e.number),
        judges,
        device,
        lambda done: progress(len(pictures) + done),
    )
    return {
        "mean": agreement(rows, judges),
        "noise": agreement(still, judges),
        "classes": {
            label: {
                **agreement([row for row in rows if row["class"] == label], judges),
                "noise": agreement([row for row in still if row["class"] == label], judges),
            }
            for label in plan.labels
        },
        "pictures": rows,
    }


def pictures_to_judge(plan: ClassPlan) -> int:
    """Return how many pictures are looked at, noise included."""
    return len(plan.labels) * (plan.per_class + min(plan.per_class, CONTROLS))


def agreement(rows: Sequence[Row], judges: Iterable[str]) -> dict[str, float]:
    """Return which part of the pictures each judge takes for what was asked, in [0, 1]."""
    found = {}
    for part in judges:
        right = [row[part] == row["class"] for row in rows if part in row]
        if right:
            found[part] = fmean(right)
    return found


def knows_class(judge: LoadedTarget, label: str) -> bool:
    """Return whether a class is one of a judge's: of others it can say nothing."""
    return label in judge.target.classes


def _rows(
    pictures: Sequence[ClassPicture],
    shown: Callable[[ClassPicture], Tensor],
    judges: Judges,
    device: torch.device,
    progress: Callable[[int], None],
) -> list[Row]:
    rows: list[Row] = []
    for some in _parts(pictures):
        images = torch.stack([shown(each) for each in some]).to(device)
        asked = [each.label for each in some]
        told: list[Row] = [{"picture": each.stem, "class": each.label} for each in some]
        for part, judge in judges.items():
            for row, seen in zip(told, _seen(judge, images, asked), strict=True):
                row.update({part + end: value for end, value in seen.items()})
        rows += told
        progress(len(rows))
    return rows


def _parts(pictures: Sequence[ClassPicture]) -> Iterator[Sequence[ClassPicture]]:
    for start in range(0, len(pictures), AT_A_TIME):
        yield pictures[start : start + AT_A_TIME]


def _seen(judge: LoadedTarget, images_NCHW: Tensor, asked: Sequence[str]) -> Iterator[Row]:
    """Yield what a judge takes each picture for, and how sure it is of what was asked."""
    for label, found in zip(asked, judge.target.predict(images_NCHW), strict=True):
        if not knows_class(judge, label):
            yield {}
            continue
        sure = max((each.score for each in found if each.label == label), default=0.0)
        yield {"": found[0].label if found else "", "_score": sure}
