"""`magkit pretrain --method pixpro` as a user of the installed package meets it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

Run = Callable[..., "subprocess.CompletedProcess[str]"]

QUICK = (
    *("--method", "pixpro", "--scenes", "4", "--batch", "4", "--size", "32", "--steps", "2"),
    *("--train", "frame=40", "--train", "optimizer=sgd", "--opt", "hidden=16", "--opt", "dim=8"),
    *("--magnifier-opt", "stem=8", "--magnifier-opt", "width=8", "--magnifier-opt", "guide=8"),
    *("--device", "cpu", "--threads", "1", "--workers", "0"),
)
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_an_encoder_is_trained_and_written_by_one_process_or_two(magkit: Run) -> None:
    done = magkit("pretrain", *QUICK, "--json", "-o", "one")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert (shown["run"], shown["steps"]) == ("one", 2)
    assert 0 < shown["metrics"]["loss"] < 16, "two branches, each in two directions"
    lines = [json.loads(line) for line in Path("one/metrics.jsonl").read_text().splitlines()]
    assert {"texture_consistency", "motion_consistency"} <= set(lines[0])
    state = torch.load("one/checkpoint-2.pt", weights_only=True)["model"]
    assert state["methods.motion.transform.weight"].shape == (8, 8)
    if sys.platform == "win32":
        return  # gloo's rendezvous needs another name there
    done = magkit("pretrain", *QUICK, "-o", "two", launcher=TWO)
    assert done.returncode == 0, done.stderr
    one, two = (load_file(f"{name}/model.safetensors") for name in ("one", "two"))
    for name, value in one.items():
        assert value.isfinite().all()
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=2e-6)


def test_it_is_listed_with_its_options(magkit: Run) -> None:
    assert "pixpro" in magkit("plugins").stdout
    shown = magkit("pretrain", "--method", "pixpro", "--help").stdout
    assert all(key in shown for key in ("grid", "threshold", "gamma", "tau", "hidden", "dim"))


def test_an_option_is_refused_in_a_sentence(magkit: Run) -> None:
    done = magkit("pretrain", *QUICK, "--opt", "gamma=0")
    assert done.returncode == 2
    assert "gamma must be at least 1" in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
