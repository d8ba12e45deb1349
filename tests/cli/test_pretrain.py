"""`magkit pretrain` as a user meets it: from end to end, killed, in two processes, refused."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from magkit.cli import run
from magkit.training.metrics import read_metrics

Captured = pytest.CaptureFixture[str]

TINY = """
method = "byol"
scenes = 8
batch = 4
size = 32
workers = 0
threads = 1
device = "cpu"
opt = ["hidden=16", "dim=8"]
magnifier-opt = ["stem=8", "width=8", "guide=8", "hidden=8"]

[train]
frame = 40
warmup = 1
save_every = 2
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def pretrain(recipe: Path, *more: str) -> int:
    return run(["pretrain", "--config", str(recipe), *more])


def command(python: str, recipe: Path, *more: str) -> list[str]:
    return [python, "-m", "magkit", "pretrain", "--config", str(recipe), *more]


def test_an_encoder_from_nothing_into_the_magnifier(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    quick = ["--scenes", "4", "--batch", "2", "--size", "32", "--train", "frame=32"]
    tiny = ["--threads", "1", "--device", "cpu", "--workers", "0", "--steps", "1"]
    assert run(["pretrain", "--method", "scrl", "--magnifier", "magnet", *quick, *tiny]) == 0
    shown = capsys.readouterr()
    assert "4 procedural scenes" in shown.err
    assert "wrote runs" in shown.err.replace(os.sep, "/")
    assert "next: magkit finetune --encoder" in shown.err
    assert "--magnifier magnet" in shown.err
    encoder = ["--magnifier", "magnet", "--encoder", "runs/pretrain-001"]
    own = ["--procedural", "2", "--batch", "1", "--size", "32", "--train", "objects=1,2"]
    assert run(["finetune", *encoder, *own, *tiny, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)["encoder"]
    assert report["parameters"] == 154_416
    assert [group["name"] for group in report["groups"] if group["loaded"]] == [
        "trunk",
        "texture",
        "motion",
    ]


def test_json_is_one_object_and_help_lists_the_methods_options(
    recipe: Path, capsys: Captured
) -> None:
    assert pretrain(recipe, "--steps", "1", "--json", "-o", "here") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["run"], shown["steps"], shown["continued_from"]) == ("here", 1, 0)
    assert shown["metrics"]["loss"] > 0
    assert run(["pretrain", "--method", "scrl", "--help"]) == 0
    assert "--opt of the method scrl" in capsys.readouterr().out


def test_killed_without_warning_and_continued_equals_undisturbed(
    recipe: Path, capsys: Captured, wait_for: Callable[..., None], slow_training: list[str]
) -> None:
    steps = ("--method", "moco", "--opt", "queue=8", "--steps", "10")
    killed = Path("runs") / "pretrain-001"
    process = subprocess.Popen(
        [*slow_training, "pretrain", "--config", str(recipe), *steps],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: len(read_metrics(killed / "metrics.jsonl")) >= 5, process)
    process.kill()
    process.wait()
    assert not (killed / "model.safetensors").exists()
    assert pretrain(recipe, *steps, "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert Path(again["run"]) == killed
    assert again["continued_from"] >= 4
    assert pretrain(recipe, *steps, "-o", "whole") == 0
    for name in ("model.safetensors", "metrics.jsonl", "best.safetensors"):
        left, right = (folder / name for folder in (killed, Path("whole")))
        assert left.is_file() == right.is_file()
        assert not left.is_file() or left.read_bytes() == right.read_bytes()


@pytest.mark.skipif(sys.platform == "win32", reason="gloo's rendezvous needs another name there")
def test_two_processes_equal_one(recipe: Path, preloaded_python: str) -> None:
    steps = ("--steps", "3", "--train", "optimizer=sgd")
    one, two = Path("one"), Path("two")
    torchrun = [preloaded_python, "-m", "torch.distributed.run", "--standalone"]
    launched = [*torchrun, "--nproc-per-node", "2", *command(preloaded_python, recipe, *steps)[1:]]
    done = subprocess.run(
        [*launched, "-o", str(two), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 3, "the first alone speaks"
    assert pretrain(recipe, *steps, "-o", str(one)) == 0
    left, right = (load_file(folder / "model.safetensors") for folder in (one, two))
    start = torch.load(one / "checkpoint-2.pt", weights_only=True)["model"]
    for name, value in left.items():
        torch.testing.assert_close(right[name], value, rtol=1e-3, atol=2e-6)
    assert any(not torch.equal(value, start[f"encoder.{name}"]) for name, value in left.items())
    logs = [read_metrics(folder / "metrics.jsonl") for folder in (one, two)]
    for ours, theirs in zip(*logs, strict=True):
        assert theirs["loss"] == pytest.approx(ours["loss"], rel=1e-3)


def test_devices_starts_processes_and_a_failure_is_told_once(
    recipe: Path, preloaded_python: str
) -> None:
    done = subprocess.run(
        command(preloaded_python, recipe, "--devices", "2", "--method", "byl"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("did you mean 'byol'") == 1
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_what_is_refused(recipe: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("album").mkdir()
    Path("cut.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    refused = [
        (2, ["--method", "mocko"], "did you mean 'moco'"),
        (2, ["--method", "moco"], "larger than the data"),
        (2, ["--opt", "queue=8"], "no option of method 'byol' is named 'queue'"),
        (2, ["--branch", "shape"], "no branch 'shape'"),
        (2, ["--preset", "large"], "no preset 'large'"),
        (2, ["--batch", "1"], "batch"),
        (1, ["--data", "album"], "album"),
        (1, ["--data", "nowhere"], "nowhere"),
        (1, ["--data", "cut.mp4"], "cut.mp4"),
        (1, ["-o", "album/../tiny.toml/run"], "can't be made"),
    ]
    for code, arguments, words in refused:
        assert pretrain(recipe, "--steps", "1", *arguments) == code, arguments
        shown = capsys.readouterr()
        assert words in shown.err, arguments
        assert not shown.out
    assert run(["pretrain", "--steps", "1"]) == 2
    assert "--method" in capsys.readouterr().err
    monkeypatch.setenv("RANK", "0")
    assert pretrain(recipe, "--devices", "2") == 2
    assert "torchrun started this process" in capsys.readouterr().err


OWN = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 6, 4, 4), nn.BatchNorm2d(6), nn.ReLU())
"""


def test_an_encoder_of_ones_own(
    recipe: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("mine_net.py").write_text(OWN)
    own = ["--backbone", "mine_net:net"]
    assert pretrain(recipe, *own, "--steps", "1") == 0
    assert f"next: magkit evaluate encoder {Path('runs/pretrain-001')} --backbone mine_net:net" in (
        capsys.readouterr().err.replace("\n", " ")
    )
    record = json.loads(Path("runs/pretrain-001/config.json").read_text())["config"]
    assert (record["network"], record["branches"]) == ("mine_net:net", ["features"])
    judge = ["evaluate", "encoder", "runs/pretrain-001", "--frames", "8", "--procedural", "4"]
    tiny = ["--threads", "1", "--device", "cpu"]
    # The name in a file, which may come from anyone, imports nothing.
    sys.modules.pop("mine_net", None)
    assert run([*judge, *tiny]) == 2
    assert "--backbone mine_net:net imports it" in capsys.readouterr().err.replace("\n", " ")
    assert "mine_net" not in sys.modules
    assert run([*judge, *own, *tiny, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["weights"], row["branch"]) for row in rows] == [
        ("own", "features"),
        ("random", "features"),
    ]
    sys.modules.pop("mine_net", None)
    Path("mine_net.py").write_text(OWN.replace("6", "7"))
    assert run([*judge, *own, *tiny]) == 1
    assert "does not fit" in capsys.readouterr().err
    sys.modules.pop("mine_net", None)
    assert pretrain(recipe, "--backbone", "mine_net:other", "--steps", "1") == 2
    assert "there is no 'other' in it" in capsys.readouterr().err.replace("\n", " ")
