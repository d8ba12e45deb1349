"""Trainings of several processes as a user meets them: equal to one, killed, resumed, refused."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from magkit.cli import run
from magkit.errors import MagkitError
from magkit.runtime import distributed
from magkit.training.metrics import read_metrics

Captured = pytest.CaptureFixture[str]

COMMON = """
batch = 4
workers = 0
threads = 1
device = "cpu"
"""
SETTINGS = """
[train]
warmup = 1
save_every = 1
optimizer = "sgd"
"""
FINETUNE = f"""
lr = 0.05
procedural = 3
size = 64
opt = ["stem=8", "width=8", "guide=8", "hidden=8"]
{COMMON}{SETTINGS}
objects = "1,2"
noise = 0.5
coded = 0.5
x264 = 0.5
"""
PRETRAIN = f"""
method = "byol"
scenes = 8
size = 32
opt = ["hidden=16", "dim=8"]
magnifier-opt = ["stem=8", "width=8", "guide=8", "hidden=8"]
{COMMON}{SETTINGS}
frame = 40
"""
RECIPES = {"finetune": FINETUNE, "pretrain": PRETRAIN}

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="gloo's rendezvous needs another name there"
)


@pytest.fixture(autouse=True)
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in RECIPES.items():
        Path(f"{name}.toml").write_text(text)


def arguments(command: str, *more: str) -> list[str]:
    return [command, "--config", f"{command}.toml", *more]


def assert_close(one: Path, other: Path, tolerance: float) -> None:
    left, right = (load_file(folder / "model.safetensors") for folder in (one, other))
    assert left.keys() == right.keys()
    for name, value in left.items():
        torch.testing.assert_close(right[name], value, rtol=0, atol=tolerance)


def test_two_processes_train_a_magnifier_like_one(preloaded_python: str) -> None:
    one, two = Path("one"), Path("two")
    torchrun = [preloaded_python, "-m", "torch.distributed.run", "--standalone"]
    command = arguments("finetune", "--steps", "2", "-o", str(two), "--json")
    done = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", "-m", "magkit", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 2, "the first alone speaks"
    assert done.stderr.count("training magnet-fast") == 1
    assert run(arguments("finetune", "--steps", "2", "-o", str(one))) == 0
    assert_close(one, two, 2e-6)
    start = torch.load(one / "checkpoint-1.pt", weights_only=True)["average"]
    moved = [not torch.equal(v, start[k]) for k, v in load_file(one / "model.safetensors").items()]
    assert sum(moved) > 0.5 * len(moved)
    assert [p.name for p in (two / "samples").iterdir()] == ["step-000002.png"]
    for ours, theirs in zip(*(read_metrics(f / "metrics.jsonl") for f in (one, two)), strict=True):
        assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-5)


Start = Callable[[int, list[str]], "subprocess.Popen[str]"]


@pytest.fixture
def start(slow_training: list[str], preloaded_python: str) -> Start:
    """Starts process number RANK of two of one slow training, as a scheduler does."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])

    def process(rank: int, given: list[str]) -> "subprocess.Popen[str]":
        place = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
        return subprocess.Popen(
            [preloaded_python, *slow_training[1:], *given],
            env={**os.environ, **place, "MASTER_PORT": port},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    return process


@pytest.mark.parametrize(("command", "killed"), [("finetune", 1), ("finetune", 0), ("pretrain", 1)])
def test_where_one_is_killed_the_other_ends_and_one_process_goes_on(
    command: str, killed: int, start: Start, wait_for: Callable[..., None], capsys: Captured
) -> None:
    # A small rate: in single precision, longer steps soon enlarge a difference in the last bit.
    steps = ("--steps", "8", "--lr", "0.001")
    given = arguments(command, *steps, "-o", "run")
    processes: list[Any] = [start(rank, given) for rank in (0, 1)]
    try:
        wait_for(lambda: len(read_metrics(Path("run/metrics.jsonl"))) >= 3, processes[killed])
        processes[killed].kill()
        _, said = processes[1 - killed].communicate(timeout=60)
    finally:
        for process in processes:
            process.kill()
    assert processes[1 - killed].returncode == 1
    assert "another process of this training has ended" in said
    assert "Traceback" not in said
    assert not Path("run/model.safetensors").exists()
    assert run([*given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["continued_from"] >= 2
    assert run(arguments(command, *steps, "-o", "whole")) == 0
    assert_close(Path("whole"), Path("run"), 2e-5)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("killed", [0, 1])
def test_a_launched_process_that_is_killed_is_named(
    killed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(rank: int, *_: object) -> "subprocess.Popen[bytes]":
        text = "import os, time; os.kill(os.getpid(), 9)" if rank == killed else "time.sleep(60)"
        return subprocess.Popen([sys.executable, "-S", "-c", f"import time; {text}"])

    monkeypatch.setattr(distributed, "_start", start)
    monkeypatch.setattr(distributed, "FIRST_RANK_WAIT", 0.1)
    with pytest.raises(MagkitError, match=f"process {killed + 1} of 2 was killed by signal 9"):
        distributed.launch(2, [])


@pytest.mark.parametrize("command", ["finetune", "pretrain"])
def test_a_batch_that_processes_cannot_share_is_refused_once(
    command: str, preloaded_python: str
) -> None:
    given = arguments(command, "--steps", "1", "--devices", "2", "--train", "accumulate=4")
    done = subprocess.run(
        [preloaded_python, "-m", "magkit", *given, "--batch", "12"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("can't be shared by 2 processes in 4 equal parts") == 1
    assert done.stderr.count("--batch must be a multiple of 8") == 1
    assert "Traceback" not in done.stderr
    assert not done.stdout
    assert not Path("runs").exists()


@pytest.mark.parametrize("command", ["finetune", "pretrain"])
def test_torchruns_processes_start_no_others(
    command: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    assert run(arguments(command, "--steps", "1", "--devices", "2")) == 2
    assert "torchrun started this process" in capsys.readouterr().err
