"""Trains a student for each arm and seed, and compares them; each finished one is a file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from magkit.errors import MagkitError
from magkit.evaluate.bootstrap import difference_of_means, ratio_of_means
from magkit.progress import Progress, pass_progress, silent
from magkit.runtime.files import atomic_path
from magkit.runtime.text import MALFORMED, read_json_object
from magkit.student.held_out import HeldOutFrame
from magkit.student.pictures import Labelled
from magkit.student.train import StudentConfig, train_student

REAL = "real frame"


@dataclass(frozen=True, slots=True)
class Experiment:
    """What all students share.

    Attributes:
        arms: the training pictures of each arm, the one that is asked about first.
        tests: real frames.
        classes: what a student learns.
        config: of the training.
        seeds: how many students of each arm.
    """

    arms: Mapping[str, Sequence[Labelled]]
    tests: Sequence[HeldOutFrame]
    classes: tuple[str, ...]
    config: StudentConfig
    seeds: int

    def fingerprint(self, arm: str) -> str:
        """Return a hash of everything that determines the students of an arm."""
        described = {"config": asdict(self.config), "classes": self.classes}
        found = sha256(json.dumps(described, sort_keys=True).encode())
        for each in self.arms[arm]:
            _add(found, each.image_3HW, each.shares_CHW)
        for test in self.tests:
            found.update(f"{test.video}/{test.stem} {test.label}".encode())
            _add(found, test.image_3HW, test.mask_HW)
        return found.hexdigest()


def _add(digest: Any, *tensors: Tensor) -> None:
    for tensor in tensors:
        digest.update(tensor.contiguous().numpy().tobytes())


def file_name(arm: str) -> str:
    """Return what the names of an arm's files begin with."""
    return arm.replace(" ", "-")


def run_experiment(
    experiment: Experiment, folder: Path, device: torch.device, progress: Progress = silent
) -> dict[str, Any]:
    """Train the students that are missing in a folder; return the report as JSON types.

    Args:
        experiment: what to train and to test on.
        folder: of the students' files, ARM-SEED.json.
        device: where to train.
        progress: called with the steps of all students that are done.

    Raises:
        MagkitError: the folder holds students of other pictures or settings, or can't be written.
    """
    marks = {arm: experiment.fingerprint(arm) for arm in experiment.arms}
    found: dict[str, list[dict[str, list[float]]]] = {arm: [] for arm in experiment.arms}
    # Seeds outermost: every arm has a first student early.
    students = list(product(range(experiment.seeds), marks))
    for number, (seed, arm) in enumerate(students):
        file, mark = folder / f"{file_name(arm)}-{seed}.json", marks[arm]
        one = pass_progress(progress, number, len(students))
        if file.is_file():
            found[arm].append(_stored(file, mark, experiment))
        else:
            found[arm].append(_trained(file, mark, experiment, arm, seed, device, one))
        one(experiment.config.steps, experiment.config.steps)
    return summarize(experiment, found)


def _trained(
    file: Path,
    mark: str,
    experiment: Experiment,
    arm: str,
    seed: int,
    device: torch.device,
    progress: Progress,
) -> dict[str, list[float]]:
    """Train a student, write its file, and return J of each test frame by step."""
    pictures, tests, classes = experiment.arms[arm], experiment.tests, experiment.classes
    measured = train_student(pictures, tests, classes, experiment.config, seed, device, progress)
    found = {str(step): values for step, values in measured.items()}
    record = {"arm": arm, "seed": seed, "fingerprint": mark, "J": found}
    with atomic_path(file) as path:
        path.write_text(json.dumps(record, allow_nan=False) + "\n", encoding="utf-8")
    return found


def _stored(file: Path, mark: str, experiment: Experiment) -> dict[str, list[float]]:
    record = read_json_object(file)
    if record.get("fingerprint") != mark:
        raise MagkitError(f"{file} is of other pictures or settings", "choose another -o")
    try:
        found = {str(step): [float(v) for v in values] for step, values in record["J"].items()}
        if list(found) != [str(step) for step in experiment.config.measured()]:
            raise ValueError("it was measured after other steps")
        for values in found.values():
            if len(values) != len(experiment.tests) or not all(0 <= v <= 1 for v in values):
                raise ValueError("it has not a J for each test frame")
    except MALFORMED as error:
        raise MagkitError(f"{file} is damaged: {error}", "delete it") from error
    return found


def summarize(
    experiment: Experiment, found: Mapping[str, Sequence[Mapping[str, Sequence[float]]]]
) -> dict[str, Any]:
    """Return means of J with paired intervals over videos and seeds, as JSON types.

    "same": on other frames of the videos that were inverted; "other": on other videos; "all". Of
    each, "over_real": the part of J of real frames that an arm reaches; "first_ahead_by": how far
    the first arm is ahead; both [value, low, high].
    """
    parts = {
        "same": [n for n, test in enumerate(experiment.tests) if test.same],
        "other": [n for n, test in enumerate(experiment.tests) if not test.same],
        "all": list(range(len(experiment.tests))),
    }
    last = str(experiment.config.steps)
    tables = {arm: [seeds[last] for seeds in rows] for arm, rows in found.items()}
    videos = [test.video for test in experiment.tests]
    return {
        "config": asdict(experiment.config),
        "classes": list(experiment.classes),
        "seeds": experiment.seeds,
        "tests": {name: len(places) for name, places in parts.items()},
        "videos": {name: len({videos[n] for n in places}) for name, places in parts.items()},
        "arms": [
            {
                "arm": arm,
                "pictures": len(experiment.arms[arm]),
                **{
                    name: _compared(tables, arm, places, [videos[n] for n in places])
                    for name, places in parts.items()
                    if places
                },
                "steps": {
                    step: fmean(fmean(row[step]) for row in found[arm]) for step in found[arm][0]
                },
            }
            for arm in found
        ],
    }


def _compared(
    tables: Mapping[str, Sequence[Sequence[float]]],
    arm: str,
    places: Sequence[int],
    videos: Sequence[str],
) -> dict[str, Any]:
    """Return an arm's J, its part of that of real frames, and the first arm's advantage over it."""
    first = next(iter(tables))
    ours, firsts, real = (
        [[row[n] for n in places] for row in tables[name]] for name in (arm, first, REAL)
    )
    result: dict[str, Any] = {"J": fmean(fmean(row) for row in ours)}
    if arm != REAL and any(map(any, real)):
        ratio = ratio_of_means(ours, real, videos)
        if all(map(math.isfinite, ratio)):  # not where real frames teach nothing
            result["over_real"] = list(ratio)
    if arm != first:
        result["first_ahead_by"] = list(difference_of_means(firsts, ours, videos))
    return result
