"""A whole job of pictures of classes, from noise: shared, resumed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch

from magkit.invert.class_optimizer import ClassOptimizer
from magkit.invert.class_plan import ALL, ClassPicture, ClassPlan, plan_classes
from magkit.invert.frames_on_disk import Folder
from magkit.invert.job import check_share, check_target, load_target, open_job_run
from magkit.invert.settings import make_settings
from magkit.invert.targets.load import TargetChoice
from magkit.progress import Progress, silent
from magkit.runtime.shard import Shard
from magkit.training.run import Run

WHOLE = Shard()
PRESET = "classes"
PER_CLASS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassJob:
    """What is to be inverted.

    Attributes:
        targets: what is inverted, at least one.
        classes: names separated by commas, or all.
        per_class: pictures of each.
        preset: of settings.
        settings: over the preset's.
    """

    targets: Sequence[TargetChoice]
    classes: str = ALL
    per_class: int = PER_CLASS
    preset: str = PRESET
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassesInverted:
    """What became of a job.

    Attributes:
        run: its folder.
        plan: what was made.
        pictures: that this process made.
        whole: whether all pictures of the job are there, of whichever process.
        seconds: that this process took.
    """

    run: Run
    plan: ClassPlan
    pictures: int
    whole: bool
    seconds: float


def invert_classes(
    job: ClassJob,
    *,
    output: Path | None = None,
    new: bool = False,
    share: Shard = WHOLE,
    device: torch.device | None = None,
    verifier: TargetChoice | None = None,
    snapshots: int = 0,
    progress: Progress = silent,
) -> ClassesInverted:
    """Make the pictures of a job, or those that are left of one that was stopped.

    Args:
        job: what determines the result.
        output: its folder; None: the newest unfinished equal one under `runs/`, or a new one.
        new: never go on with one.
        share: of the batches: those that this process makes.
        device: where they are made; None: the processor.
        verifier: who will look at the pictures, and must be able to.
        snapshots: keep a picture of a batch every so many steps; 0: none.
        progress: told about steps.

    Raises:
        MagkitError: weights or the folder can't be used, or an optimisation failed.
        UsageError: an unknown class, target or setting, or a target that needs masks.
    """
    check_share(share, output, new=new)
    began, place = time.monotonic(), device or torch.device("cpu")
    settings = make_settings(job.preset, job.settings)
    targets = [load_target(each, place) for each in job.targets]
    plan = plan_classes(job.classes, job.per_class, targets, settings)
    if verifier is not None:
        check_target(load_target(verifier, place), plan.size, bn=0.0)
    config = {
        "classes": plan.described(),
        "targets": [each.described() for each in job.targets],
    }
    run = open_job_run(config, share, output=output, new=new, device=place)
    folder = folder_of_classes(run)
    maker = ClassOptimizer(plan, targets, folder, place, snapshots=snapshots)
    count = _make_all(maker, share, progress)
    return ClassesInverted(
        run=run,
        plan=plan,
        pictures=count,
        whole=not missing(plan, folder),
        seconds=time.monotonic() - began,
    )


def folder_of_classes(run: Run) -> Folder:
    """Return the folder of a job's pictures: RUN/classes/CLASS/00.png."""
    return Folder(run.folder, "classes")


def missing(plan: ClassPlan, folder: Folder) -> list[str]:
    """Return the names of the pictures that are not there yet."""
    return [each.stem for each in plan.pictures() if not folder.has(each.stem)]


def _make_all(maker: ClassOptimizer, share: Shard, progress: Progress) -> int:
    """Make a share of the batches; progress counts steps, as a batch takes long."""
    batches, steps = maker.plan.batches(), sum(maker.plan.settings.steps())
    mine = {number: batch for number, batch in enumerate(batches) if number in share}
    before, total = _there(maker, mine), len(mine) * steps
    for place, (number, batch) in enumerate(mine.items()):
        progress(place * steps, total)
        maker.stepped = partial(_tell, progress, place * steps, total)
        maker.batch(number, batch)
    progress(total, total)
    return _there(maker, mine) - before


def _tell(progress: Progress, before: int, total: int, done: int) -> None:
    progress(before + done, total)


def _there(maker: ClassOptimizer, batches: Mapping[int, Sequence[ClassPicture]]) -> int:
    return sum(maker.folder.has(each.stem) for batch in batches.values() for each in batch)
