"""`magkit pretrain --method densecl` as a user meets it: installed, and in a process of its own."""

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

Run = Callable[..., "subprocess.CompletedProcess[str]"]

TINY = ["--scenes", "4", "--batch", "2", "--size", "32", "--steps", "3", "--train", "frame=40"]
HERE = ["--threads", "1", "--workers", "0", "--device", "cpu"]
SMALL = ["--opt", "hidden=16", "--opt", "dim=8", "--opt", "queue=4", "--opt", "grid=3"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pretrain(magkit: Run) -> Run:
    return partial(magkit, "pretrain", "--method", "densecl", *TINY, *HERE, *SMALL)


def test_it_trains(pretrain: Run) -> None:
    done = pretrain("-o", "run", "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert (shown["steps"], shown["continued_from"]) == (3, 0)
    metrics = shown["metrics"]
    names = [
        f"{branch}_{part}" for branch in ("texture", "motion") for part in ("frames", "places")
    ]
    assert metrics["loss"] == pytest.approx(sum(metrics[name] for name in names), rel=1e-4)
    assert all(metrics[name] > 0 for name in names)
    state = torch.load(Path("run") / "checkpoint-3.pt", weights_only=True)["model"]
    assert state["methods.motion.places.vectors"].shape == (4, 8)
    assert int(state["methods.motion.places.place"]) == 6 % 4
    assert (Path("run") / "model.safetensors").is_file()


def test_it_is_listed_explained_and_refused_in_a_sentence(magkit: Run, pretrain: Run) -> None:
    assert "densecl" in magkit("plugins").stdout
    shown = magkit("pretrain", "--method", "densecl", "--help").stdout
    assert "--opt of the method densecl" in shown
    assert "temperature" in shown
    refused = pretrain("--opt", "queue=512")
    assert refused.returncode == 2
    said = refused.stderr
    assert "larger than the data, 4 frames" in said
    assert "--opt queue=2" in said
    assert "Traceback" not in said
