"""`magkit finetune` as a user meets it: a tiny training, killed, continued, refused."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from magkit.cli import run
from magkit.magnify import fast_spec
from magkit.magnify.encoder import EncoderInfo, save_encoder
from magkit.magnify.fast import FastEncoder
from magkit.magnify.load import load_magnifier
from magkit.training.metrics import read_metrics

Magkit = Callable[..., "CompletedProcess[str]"]
Captured = pytest.CaptureFixture[str]

RECIPE = """
batch = 1
size = 64
procedural = 3
workers = 0
threads = 1
device = "cpu"

[train]
objects = "1,2"
warmup = 2
save_every = 5

[opt]
stem = 8
width = 8
guide = 8
hidden = 8
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


def finetune(recipe: Path, *more: str) -> int:
    return run(["finetune", "--config", str(recipe), *more])


def settings(folder: Path) -> dict[str, object]:
    record = json.loads((folder / "config.json").read_text())
    found: dict[str, object] = record["config"]["settings"]
    return found


def test_a_training_from_end_to_end(recipe: Path, capsys: Captured) -> None:
    assert finetune(recipe, "--steps", "3", "--train", "warmup=1", "--lr", "0.002") == 0
    shown = capsys.readouterr()
    weights = Path("runs") / "finetune-001" / "model.safetensors"
    assert f"wrote {weights}" in shown.err
    assert f"next: magkit magnify CLIP --magnifier magnet-fast --weights {weights}" in shown.err
    assert "loss" in shown.out
    found = settings(weights.parent)
    assert (found["steps"], found["lr"]) == (3, 0.002)
    assert (found["warmup"], found["objects"]) == (1, [1, 2]), "one flag leaves the file's others"
    load_magnifier("magnet-fast", weights)


def test_json_is_one_object(recipe: Path, capsys: Captured) -> None:
    assert finetune(recipe, "--steps", "2", "--json", "-o", "here") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["run"], shown["steps"], shown["continued_from"]) == ("here", 2, 0)
    assert shown["metrics"]["loss"] > 0


def test_an_encoder_is_loaded_and_reported(recipe: Path, capsys: Captured) -> None:
    config = fast_spec.FastConfig(stem=8, width=8, guide=8, hidden=8)
    about = EncoderInfo(
        magnifier="magnet-fast",
        config=asdict(config),
        branches=("motion",),
        method="moco",
        steps=7,
    )
    save_encoder(Path("e.safetensors"), FastEncoder(config).state_dict(), about)
    encoder = ("--encoder", "e.safetensors", "--freeze", "1", "--encoder-lr", "0.5")
    assert finetune(recipe, "--steps", "2", *encoder, "-o", "one") == 0
    shown = capsys.readouterr().out
    assert "moco, 7 steps" in shown
    assert "loaded: its part of" in shown
    assert finetune(recipe, "--steps", "2", *encoder, "-o", "two", "--json") == 0
    report = json.loads(capsys.readouterr().out)["encoder"]
    assert (report["method"], report["branches"]) == ("moco", ["motion"])
    assert [group["loaded"] for group in report["groups"]] == [True, True, False]
    assert settings(Path("two"))["freeze"] == 1
    assert settings(Path("two"))["encoder_lr"] == 0.5
    weights = ("--weights", "two/model.safetensors")
    assert finetune(recipe, *encoder, *weights) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_killed_without_warning_and_continued_equals_undisturbed(
    recipe: Path, capsys: Captured, wait_for: Callable[..., None], slow_training: list[str]
) -> None:
    steps = ("--steps", "12")
    command = [*slow_training, "finetune", "--config", str(recipe), *steps]
    killed = Path("runs") / "finetune-001"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: len(read_metrics(killed / "metrics.jsonl")) >= 7, process)
    process.kill()
    process.wait()
    assert not (killed / "model.safetensors").exists()
    assert finetune(recipe, *steps, "--json") == 0
    again = json.loads(capsys.readouterr().out)
    assert Path(again["run"]) == killed
    assert again["continued_from"] >= 5
    assert finetune(recipe, *steps, "-o", "whole") == 0
    left, right = (load_file(folder / "model.safetensors") for folder in (killed, Path("whole")))
    assert all(torch.equal(left[key], right[key]) for key in right)
    logs = [(folder / "metrics.jsonl").read_bytes() for folder in (killed, Path("whole"))]
    assert logs[0] == logs[1]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no groups of processes to end")
def test_ended_with_all_its_processes_it_says_nothing_odd(
    recipe: Path, wait_for: Callable[..., None], slow_training: list[str]
) -> None:
    command = [*slow_training, "finetune", "--config", str(recipe)]
    process = subprocess.Popen(
        [*command, "--steps", "5000", "--workers", "2", "-o", "ended"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    group = int(process.stdout.readline())
    wait_for(lambda: len(read_metrics(Path("ended/metrics.jsonl"))) >= 3, process)
    os.killpg(group, signal.SIGTERM)
    _, shown = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "error" not in shown


def test_an_interrupted_training_says_how_to_go_on(
    recipe: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    from magkit.finetune.task import SceneTask

    def interrupted(*_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(SceneTask, "batches", interrupted)
    assert finetune(recipe, "--steps", "3") == 130
    shown = capsys.readouterr().err
    assert "the same command goes on" in shown
    assert shown.endswith("magkit: interrupted\n")


def test_what_is_refused(recipe: Path, capsys: Captured) -> None:
    Path("album").mkdir()
    (Path("album") / "picture.jpg").write_bytes(b"")
    Path("text.json").write_text("no")
    Path("pictures").mkdir()
    Image.new("RGB", (80, 80)).save("pictures/grey.png")
    Path("file").write_text("")
    refused = [
        (2, ["--steps", "0"], "steps"),
        (2, ["--lr", "-1"], "lr"),
        (2, ["--size", "60"], "a multiple of"),
        (2, ["--train", "warmup"], "KEY=VALUE"),
        (2, ["--train", "warmupp=3"], "did you mean 'warmup'"),
        (2, ["--opt", "stem=x"], "whole number"),
        (2, ["--magnifier", "nobody"], "no magnifier is named 'nobody'"),
        (2, ["--device", "tpu"], "no device"),
        (2, ["--object-images", "album"], "no objects"),
        (1, ["--images", "nowhere"], "nowhere"),
        (1, ["--images", "album"], "album"),
        (1, ["--objects", "nowhere.json"], "nowhere.json"),
        (1, ["--objects", "text.json", "--object-images", "pictures"], "text.json"),
        (1, ["--weights", "nowhere.safetensors"], "nowhere.safetensors"),
        (1, ["--weights", "text.json"], "not a weights file"),
        (1, ["-o", "album"], "album exists"),
        (1, ["-o", "file/run"], "can't be made"),
    ]
    for code, arguments, words in refused:
        assert finetune(recipe, *arguments) == code, arguments
        shown = capsys.readouterr()
        assert words in shown.err, arguments
        assert "Traceback" not in shown.err
        assert "error of its own" not in shown.err
        assert shown.out == ""
    assert not Path("runs").exists()


def test_a_run_that_is_another_training_is_left_alone(recipe: Path, capsys: Captured) -> None:
    assert finetune(recipe, "--steps", "1", "-o", "run") == 0
    before = (Path("run") / "config.json").read_bytes()
    capsys.readouterr()
    assert finetune(recipe, "--steps", "1", "--seed", "5", "-o", "run") == 1
    assert "settings.seed is 0 there, 5 here" in capsys.readouterr().err
    assert finetune(recipe, "--steps", "1", "-o", "run") == 1
    assert "finished" in capsys.readouterr().err
    assert (Path("run") / "config.json").read_bytes() == before


def test_waiting_threads_leave_the_processors_to_others() -> None:
    """Set before torch is imported, unless the user has said otherwise."""
    code = (
        "import os, sys; from magkit.cli.command import make_idle_threads_sleep as f; "
        "assert 'torch' not in sys.modules; f(); print(os.environ['OMP_WAIT_POLICY'])"
    )
    for given, expected in (({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")):
        env = {"PYTHONPATH": str(Path(__file__).parents[2]), **given}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected
