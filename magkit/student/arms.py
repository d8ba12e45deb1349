"""The arms of an experiment with students: loads runs, makes and labels all pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from magkit.errors import MagkitError, UsageError
from magkit.invert.load_job import load_job
from magkit.invert.plan import ClassPlan, ClipPlan
from magkit.invert.targets.load import TargetChoice, load_target
from magkit.progress import Progress, silent
from magkit.student.experiment import REAL, Experiment
from magkit.student.pictures import (
    UNRELATED,
    Labelled,
    Labeller,
    classes_of,
    control,
    held_out_frames,
    inverted,
    unrelated,
)
from magkit.student.train import StudentConfig

CONTROLS = (REAL, "cut-out", "flat mask", "noise")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentJob:
    """What is asked for.

    Attributes:
        runs: folders of inversions, of the same classes; the first one's frames are the controls'.
        davis: folder of the real frames.
        weights: of the first target of each run, where others than those that ship were inverted.
        unrelated: a folder of photographs to label by the target; None: that arm is left out.
        soft: whether the target's probabilities are the labels of inverted frames.
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


def prepare(job: StudentJob, device: torch.device, progress: Progress = silent) -> Experiment:
    """Load the runs, and make the training and test pictures.

    Raises:
        MagkitError: a run is unfinished or of classes without masks, or real frames are missing.
        UsageError: runs are named alike, or of different classes.
    """
    names = _names(job.runs)
    loaded = {name: _load(run, job) for name, run in zip(names, job.runs, strict=True)}
    plans, targets = loaded[names[0]]
    classes = classes_of(plans)
    for name, (others, _) in loaded.items():
        if classes_of(others) != classes:
            raise UsageError(f"{names[0]} and {name} show different classes", "compare like runs")
    network = load_target(targets[0], device)
    labeller = Labeller(network, classes, job.soft, device)
    arms: dict[str, Sequence[Labelled]] = {}
    for name, run in zip(names, job.runs, strict=True):
        frames = inverted(loaded[name][0], run, classes)
        arms[name] = _relabelled(frames, labeller, progress) if job.soft else frames
    for name in CONTROLS:
        arms[name] = control(name, plans, classes)
    if job.unrelated is not None:
        count = len(arms[names[0]])
        arms[UNRELATED] = unrelated(job.unrelated, count, plans[0].size, labeller)
    return Experiment(
        arms, held_out_frames(plans, job.davis, classes), classes, job.config, job.seeds
    )


def _names(runs: Sequence[Path]) -> list[str]:
    names = [run.resolve().name for run in runs]
    for name in names:
        if names.count(name) > 1 or name in (*CONTROLS, UNRELATED):
            raise UsageError(f"two kinds of pictures would be called '{name}'", "rename a folder")
    return names


def _load(run: Path, job: StudentJob) -> tuple[list[ClipPlan], list[TargetChoice]]:
    _, plans, targets = load_job(run, job.davis, job.weights)
    found = [plan for plan in plans if not isinstance(plan, ClassPlan)]
    if not found:
        raise MagkitError(f"{run} has pictures of classes, without masks to learn from")
    return found, targets


def _relabelled(
    frames: Sequence[Labelled], labeller: Labeller, progress: Progress
) -> list[Labelled]:
    found = []
    for done, each in enumerate(frames, 1):
        found.append(replace(each, shares_CHW=labeller(each.image_3HW)))
        progress(done, len(frames))
    return found
