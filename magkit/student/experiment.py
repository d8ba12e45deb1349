"""Trains a student for each arm and seed, and compares them; each finished one is a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from magkit.errors import MagkitError
from magkit.evaluate.bootstrap import difference_of_means, ratio_of_means
from magkit.progress import Progress, silent
from magkit.runtime.files import atomic_path
from magkit.runtime.text import MALFORMED, read_json_object
from magkit.student.pictures import HeldOutFrame, Labelled
from magkit.student.train import StudentConfig, train_student

REAL = "real frame"


@dataclass(frozen=True, slots=True)
class Experiment:
    """What all students share.

    Attributes:
        arms: the training pictures of each arm.
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
            for part in (each.image_3HW, each.shares_CHW):
                found.update(part.half().contiguous().numpy().tobytes())
        for test in self.tests:
            found.update(f"{test.name} {test.label}".encode())
            found.update(test.mask_HW.contiguous().numpy().tobytes())
        return found.hexdigest()


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
    steps, done = experiment.config.steps, 0
    total = experiment.seeds * len(experiment.arms) * steps
    found: dict[str, list[dict[str, list[float]]]] = {arm: [] for arm in experiment.arms}
    for seed in range(experiment.seeds):  # outermost: every arm has a first student early
        for arm in experiment.arms:
            before = done

            def report(step: int, _: int | None = None, before: int = before) -> None:
                progress(before + step, total)

            found[arm].append(_student(experiment, arm, seed, folder, device, report))
            done += steps
            progress(done, total)
    return summarize(experiment, found)


def _student(
    experiment: Experiment,
    arm: str,
    seed: int,
    folder: Path,
    device: torch.device,
    progress: Progress,
) -> dict[str, list[float]]:
    """Return J of each test frame by step, of a student that is trained unless it is stored."""
    file = folder / f"{arm.replace(' ', '-').replace('/', '-')}-{seed}.json"
    mark = experiment.fingerprint(arm)
    if file.is_file():
        return _stored(file, mark, len(experiment.tests))
    measured = train_student(
        experiment.arms[arm],
        experiment.tests,
        experiment.classes,
        experiment.config,
        seed,
        device,
        progress,
    )
    found = {str(step): values for step, values in sorted(measured.items())}
    record = {"arm": arm, "seed": seed, "fingerprint": mark, "J": found}
    with atomic_path(file) as path:
        path.write_text(json.dumps(record) + "\n", encoding="utf-8")
    return found


def _stored(file: Path, mark: str, tests: int) -> dict[str, list[float]]:
    record = read_json_object(file)
    if record.get("fingerprint") != mark:
        raise MagkitError(f"{file} is of other pictures or settings", "choose another -o")
    try:
        found = {str(step): [float(v) for v in values] for step, values in record["J"].items()}
        if not found or any(len(values) != tests for values in found.values()):
            raise ValueError("it has not a value for each test frame")
    except MALFORMED as error:
        raise MagkitError(f"{file} is damaged: {error}", "delete it") from error
    return found


def summarize(
    experiment: Experiment, found: Mapping[str, Sequence[Mapping[str, Sequence[float]]]]
) -> dict[str, Any]:
    """Return means and paired intervals of J, over test frames and seeds.

    "same": on other frames of the videos that were inverted; "other": on other videos; "all".
    """
    parts = {
        "same": [n for n, test in enumerate(experiment.tests) if test.same],
        "other": [n for n, test in enumerate(experiment.tests) if not test.same],
        "all": list(range(len(experiment.tests))),
    }
    last = str(experiment.config.steps)
    tables = {arm: [seeds[last] for seeds in rows] for arm, rows in found.items()}
    return {
        "config": asdict(experiment.config),
        "classes": list(experiment.classes),
        "seeds": experiment.seeds,
        "tests": {name: len(places) for name, places in parts.items()},
        "arms": [
            {
                "arm": arm,
                "pictures": len(experiment.arms[arm]),
                **{
                    name: _compared(tables, arm, places) for name, places in parts.items() if places
                },
                "steps": {
                    step: fmean(fmean(row[step]) for row in found[arm]) for step in found[arm][0]
                },
            }
            for arm in found
        ],
    }


def _compared(
    tables: Mapping[str, Sequence[Sequence[float]]], arm: str, places: Sequence[int]
) -> dict[str, Any]:
    """Return an arm's J, its part of that of real frames, and the first arm's advantage over it."""
    first = next(iter(tables))
    chosen = {
        name: [[row[n] for n in places] for row in tables[name]] for name in (first, arm, REAL)
    }
    result: dict[str, Any] = {"J": fmean(fmean(row) for row in chosen[arm])}
    if arm != REAL and any(map(any, chosen[REAL])):
        result["over_real"] = list(ratio_of_means(chosen[arm], chosen[REAL]))
    if arm != first:
        result["behind_first"] = list(difference_of_means(chosen[first], chosen[arm]))
    return result
