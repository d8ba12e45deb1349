"""`magkit export` and `magkit embed` as they are run."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from magkit.cli import run

Captured = pytest.CaptureFixture[str]
ONE = ("--threads", "1")


def test_a_state_dict(weights: Path, here: Path, capsys: Captured) -> None:
    assert run(["export", str(weights), "-o", "x.pt", *ONE]) == 0
    shown = capsys.readouterr()
    assert "the magnifier magnet-fast" in shown.out
    assert "wrote x.pt" in shown.err
    assert "encoder.layers.0.weight" in torch.load("x.pt", weights_only=True)
    command = ["export", str(weights), "--part", "encoder", "-o", "part.safetensors", *ONE]
    assert run([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["network"], report["tensors"]) == ("the encoder of magnet-fast", 6)
    assert run(command) == 1
    assert "exists" in capsys.readouterr().err


def test_an_onnx_file(weights: Path, here: Path, capsys: Captured) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    command = ["export", str(weights), "--part", "encoder", "-o", "x.onnx", *ONE]
    assert run([*command, "--size", "32x64"]) == 0
    shown = capsys.readouterr().out
    assert "opset 20" in shown
    assert "input frames: batch x 3 x 32 x 64" in shown
    assert "output motion: batch x 8 x 8 x 16" in shown
    assert "largest difference between onnxruntime and torch" in shown


def test_features(weights: Path, here: Path, clip: Callable[..., Path], capsys: Captured) -> None:
    command = ["embed", str(weights), str(clip()), "-o", "x.npz", "--size", "24", *ONE]
    assert run([*command, "--device", "cpu"]) == 0
    assert "motion: 8 x 8" in capsys.readouterr().out
    with np.load("x.npz") as found:
        assert found["motion"].shape == (8, 8)
    assert run([*command, "--dense", "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["features"]["motion"] == [8, 8, 6, 6]


def test_what_is_refused(weights: Path, here: Path, capsys: Captured) -> None:
    for code, arguments, words in [
        (2, ["export", str(weights), "-o", "x.tflite"], ".onnx, .safetensors or .pt"),
        (2, ["export", str(weights), "-o", "x.pt", "--size", "32"], "--size is for ONNX"),
        (2, ["export", str(weights), "-o", "x.onnx", "--size", "big"], "'big' is not a size"),
        (1, ["export", "nothing", "-o", "x.pt"], "no weights file nothing"),
        (2, ["export", "no_such:thing", "-o", "x.pt"], "there is no module 'no_such'"),
        (2, ["embed", str(weights), "clip.mp4", "-o", "x.npy"], "end it in .npz"),
        (1, ["embed", str(weights), "clip.mp4", "-o", "x.npz"], "clip.mp4"),
    ]:
        assert run([*arguments, *ONE]) == code
        shown = capsys.readouterr()
        assert words in shown.err.replace("\n", " ")
        assert "Traceback" not in shown.err
    assert not list(here.iterdir())
