"""Experiments with students: what is stored is not trained again; the figures of the report."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from magkit.errors import MagkitError
from magkit.student import experiment as module
from magkit.student.experiment import Experiment, run_experiment, summarize
from magkit.student.held_out import HeldOutFrame
from magkit.student.pictures import Labelled
from magkit.student.train import StudentConfig

CPU = torch.device("cpu")
CONFIG = StudentConfig(steps=4)


def picture(name: str, level: float) -> Labelled:
    shares = torch.zeros(2, 32, 32)
    shares[0] = 1
    return Labelled(name, torch.full((3, 32, 32), level), shares)


def made(seeds: int = 2, level: float = 0.5) -> Experiment:
    arms = {"mine": [picture("a", level)], "real frame": [picture("a", 0.1)]}
    mask = torch.ones(32, 32, dtype=torch.bool)
    zeros = torch.zeros(3, 32, 32)
    tests = [HeldOutFrame("abcde"[n], str(n), n < 3, "bear", zeros + level, mask) for n in range(5)]
    return Experiment(arms, tests, ("bear",), CONFIG, seeds)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The seeds of students that are trained; J is made up."""
    seeds: list[int] = []

    def train(pictures: Any, tests: Any, classes: Any, config: Any, seed: int, *_: Any) -> Any:
        seeds.append(seed)
        level = float(pictures[0].image_3HW.mean())
        return {1: [0.1] * 5, 2: [0.2] * 5, 4: [level + 0.01 * seed] * len(tests)}

    monkeypatch.setattr(module, "train_student", train)
    return seeds


def test_what_is_stored_is_not_trained_again(trained: list[int], tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []

    def progress(done: int, total: int | None = None) -> None:
        told.append((done, total))

    first = run_experiment(made(), tmp_path, CPU, progress)
    assert trained == [0, 0, 1, 1]
    assert told[-1] == (16, 16)
    (tmp_path / "mine-1.json").unlink()
    assert run_experiment(made(), tmp_path, CPU) == first
    assert trained == [0, 0, 1, 1, 1]
    more = run_experiment(made(seeds=3), tmp_path, CPU)
    assert trained[5:] == [2, 2]
    assert more["seeds"] == 3
    with pytest.raises(MagkitError, match=r"mine-0\.json is of other pictures"):
        run_experiment(made(level=0.6), tmp_path, CPU)


@pytest.mark.parametrize(
    "change",
    [
        {"J": {"4": [0.5]}},
        {"J": {"7": [0.5] * 5}},
        {"J": {step: [0.5] for step in "124"}},
        {"J": {step: [math.nan] * 5 for step in "124"}},
        {"J": {step: ["x"] * 5 for step in "124"}},
        {"J": {}},
        {"J": 3},
    ],
)
def test_damaged_results_are_named(
    trained: list[int], tmp_path: Path, change: dict[str, Any]
) -> None:
    run_experiment(made(seeds=1), tmp_path, CPU)
    file = tmp_path / "mine-0.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(MagkitError, match=r"mine-0\.json is damaged"):
        run_experiment(made(seeds=1), tmp_path, CPU)


def test_the_report() -> None:
    rng = np.random.default_rng(0)
    mine, real = rng.uniform(0.4, 0.6, (2, 5)), rng.uniform(0.7, 0.9, (2, 5))
    found = {
        name: [{"1": [0.0] * 5, "4": list(row)} for row in rows]
        for name, rows in (("mine", mine), ("real frame", real))
    }
    report = summarize(made(), found)
    assert report["tests"] == report["videos"] == {"same": 3, "other": 2, "all": 5}
    ours, theirs = report["arms"]
    assert ours["same"]["J"] == pytest.approx(mine[:, :3].mean())
    assert ours["other"]["J"] == pytest.approx(mine[:, 3:].mean())
    assert ours["all"]["over_real"][0] == pytest.approx(mine.mean() / real.mean())
    value, low, high = theirs["all"]["first_ahead_by"]
    assert value == pytest.approx(mine.mean() - real.mean())
    assert low < value < high < 0
    assert "first_ahead_by" not in ours["all"]
    assert "over_real" not in theirs["all"]
    assert ours["steps"] == {"1": 0.0, "4": pytest.approx(mine.mean())}


def test_a_ratio_to_almost_nothing_is_left_out() -> None:
    found = {
        "mine": [{"4": [0.5] * 5}],
        "real frame": [{"4": [0.02, 0.0, 0.0, 0.0, 0.0]}],
    }
    report = summarize(made(seeds=1), found)
    assert "over_real" not in report["arms"][0]["all"]
    json.dumps(report, allow_nan=False)
