"""The arms of an experiment with students: loads runs, makes and labels all pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from magkit.errors import MagkitError, UsageError
from magkit.invert.load_job import load_job
from magkit.invert.plan import ClipPlan
from magkit.invert.targets.load import TargetChoice, load_target
from magkit.progress import Progress, silent
from magkit.student.experiment import REAL, Experiment, file_name
from magkit.student.held_out import classes_of, held_out_frames
from magkit.student.pictures import Labelled, Labeller, controls, inverted, unrelated
from magkit.student.train import StudentConfig

CONTROLS = (REAL, "cut-out", "flat mask", "noise")
UNRELATED = "unrelated photographs"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentJob:
    """What is asked for.

    Attributes:
        runs: folders of inversions of the same frames.
        davis: folder of the real frames.
        weights: of the targets, where others than those that ship were inverted; for all runs.
        unrelated: a folder of photographs to label by the target; None: that arm is left out.
        soft: whether what the target sees labels inverted frames, and its probabilities count.
        config: of the training.
        seeds: students of each arm.
    """

    runs: Sequence[Path]
    davis: Path
    weights: Sequence[Path]
    unrelated: Path | None
    soft: bool
    config: StudentConfig
    seeds: int


class _Loaded(NamedTuple):
    plans: list[ClipPlan]
    target: TargetChoice


def prepare(job: StudentJob, device: torch.device, progress: Progress = silent) -> Experiment:
    """Load the runs, and make the training and test pictures.

    Raises:
        MagkitError: a run is unfinished or of classes without masks, or real frames are missing.
        UsageError: runs are named alike, or are of other frames or targets.
    """
    names = _names(job.runs)
    loaded = {name: _load(run, job) for name, run in zip(names, job.runs, strict=True)}
    first = loaded[names[0]]
    plans, classes = first.plans, classes_of(first.plans)
    size = job.config.size(plans[0].size)
    _check_alike(loaded, job)
    labeller = _labeller(first.target, classes, job, device)
    arms: dict[str, Sequence[Labelled]] = {
        name: inverted(loaded[name].plans, run, classes, size, labeller if job.soft else None)
        for name, run in zip(names, job.runs, strict=True)
    }
    arms.update(controls(plans, CONTROLS, classes, size))
    if job.unrelated is not None and labeller is not None:
        sizes = plans[0].size, size
        arms[UNRELATED] = unrelated(job.unrelated, len(arms[names[0]]), sizes, labeller, progress)
    return Experiment(
        arms, held_out_frames(plans, job.davis, classes), classes, job.config, job.seeds
    )


def _names(runs: Sequence[Path]) -> list[str]:
    names = [run.resolve().name for run in runs]
    files = [file_name(name) for name in (*names, *CONTROLS, UNRELATED)]
    for name in names:
        if files.count(file_name(name)) > 1:
            raise UsageError(f"two kinds of pictures would be called '{name}'", "rename a folder")
    return names


def _load(run: Path, job: StudentJob) -> _Loaded:
    _, plans, targets = load_job(run, job.davis, job.weights)
    clips = [plan for plan in plans if isinstance(plan, ClipPlan)]
    if not clips:
        raise MagkitError(f"{run} has pictures of classes, without masks to learn from")
    if len({plan.clip for plan in clips}) < len(clips):
        raise UsageError(f"{run} has a clip several times, of a sweep", "name runs of one setting")
    return _Loaded(clips, targets[0])


def _check_alike(loaded: Mapping[str, _Loaded], job: StudentJob) -> None:
    """Refuse runs of other frames than the first one's: no student may have seen more."""
    (name, first), *others = loaded.items()
    for other, each in others:
        if _frames(each.plans) != _frames(first.plans):
            raise UsageError(f"{name} and {other} are of different frames", "compare like runs")
        if job.soft and each.target.to_dict() != first.target.to_dict():
            raise UsageError(
                f"{name} and {other} are of different targets, and one labels all frames",
                "--labels hard",
            )


def _frames(plans: Sequence[ClipPlan]) -> list[tuple[str, tuple[str, ...], list[str]]]:
    return [(plan.clip, plan.classes, plan.stems()) for plan in plans]


def _labeller(
    target: TargetChoice, classes: tuple[str, ...], job: StudentJob, device: torch.device
) -> Labeller | None:
    """Load the network that labels, if one does."""
    if not job.soft and job.unrelated is None:
        return None
    return Labeller(load_target(target, device), classes, job.soft, device)
