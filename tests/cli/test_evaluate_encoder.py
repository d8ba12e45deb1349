"""`magkit evaluate encoder` as it is run."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from magkit.cli import run
from magkit.evaluate.encoder import load_comparison
from magkit.magnify import fast_spec, magnet_spec
from magkit.magnify.encoder import EncoderInfo, save_encoder
from magkit.magnify.fast import FastEncoder
from magkit.magnify.magnet import MagNetEncoder
from magkit.selfsup.backbones import build_backbone

Captured = pytest.CaptureFixture[str]
QUICK = ("--frames", "8", "--procedural", "4", "--threads", "1", "--device", "cpu")


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    config = fast_spec.FastConfig(stem=8, width=8)
    torch.manual_seed(0)
    return saved(tmp_path / "fast.safetensors", "magnet-fast", config, FastEncoder(config))


def saved(path: Path, magnifier: str, config: object, module: nn.Module) -> Path:
    about = EncoderInfo(
        magnifier=magnifier,
        config=asdict(config) if config else {},  # type: ignore[call-overload]
        branches=("motion",),
        method="byol",
        steps=3,
    )
    save_encoder(path, module.state_dict(), about)
    return path


def test_a_table_and_a_file(encoder: Path, here: Path, capsys: Captured) -> None:
    command = ["evaluate", "encoder", str(encoder), *QUICK]
    assert run([*command, "-o", "scores.json"]) == 0
    shown = capsys.readouterr()
    for word in ("byol", "own", "random", "shipped", "texture", "motion"):
        assert word in shown.out
    assert f"--encoder {encoder}" in shown.err.replace("\n", "")
    found = json.loads(Path("scores.json").read_text())
    places = [(row["weights"], row["branch"]) for row in found["rows"]]
    assert places == [(w, b) for w in ("own", "random", "shipped") for b in ("texture", "motion")]
    assert found["branches"] == ["motion"]
    own, random = found["rows"][0], found["rows"][2]
    assert len(own["fitness"]["readout"]) == len(found["distances"]) == 5
    assert own["fitness"] != random["fitness"]
    assert own["collapse"]["dimensions"] == 8
    assert own["collapse"]["alignment"] > 0
    assert run([*command, "-o", "scores.json"]) == 1
    assert "exists" in capsys.readouterr().err
    assert run([*command, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["rows"] == found["rows"], "the same frames, the same random weights"


def test_frames_of_a_data_set(encoder: Path, here: Path, capsys: Captured) -> None:
    made = ("--count", "9", "--procedural", "4")
    assert run(["gen-data", "-o", "set", "--kind", "frames", "--size", "128", *made]) == 0
    capsys.readouterr()
    command = ["evaluate", "encoder", str(encoder), "--data", "set", "--frames", "64", "--json"]
    assert run([*command, "--device", "cpu"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert rows[0]["collapse"]["samples"] == 9
    assert rows[0]["collapse"]["alignment"] is None
    assert run([*command, "--procedural", "3"]) == 2
    assert "not from both" in capsys.readouterr().err


def test_what_is_refused(encoder: Path, here: Path, capsys: Captured) -> None:
    Path("text").write_text("no encoder")
    for code, arguments, words in [
        (1, ["nowhere"], "there is no encoder nowhere"),
        (1, ["text"], "no safetensors file"),
        (2, [str(encoder), "--magnifier", "magnet"], "of 'magnet-fast', not of 'magnet'"),
        (2, [str(encoder), "--frames", "3"], "8"),
        (1, [str(encoder), "--data", "nowhere"], "nowhere"),
    ]:
        assert run(["evaluate", "encoder", *arguments]) == code
        shown = capsys.readouterr()
        assert words in shown.err
        assert "Traceback" not in shown.err
        assert not shown.out


def test_encoders_of_other_networks(tmp_path: Path) -> None:
    """Those without weights that ship stand beside random ones alone; larger strides, frames."""
    config = magnet_spec.MagnetConfig()
    path = saved(tmp_path / "m.safetensors", "magnet", config, MagNetEncoder(config))
    judged = load_comparison(path)
    assert list(judged.encoders) == ["own", "random"]
    assert judged.size == 96
    backbone = build_backbone("resnet18").encoder
    path = saved(tmp_path / "r.safetensors", "resnet18", None, backbone)
    judged = load_comparison(path)
    assert judged.size == 192
    state = judged.encoders["own"].state_dict()
    assert all(torch.equal(state[key], value) for key, value in backbone.state_dict().items())


def test_labelled_pictures(encoder: Path, here: Path, capsys: Captured) -> None:
    for shade, name in enumerate(("dark", "light")):
        (here / "labelled" / name).mkdir(parents=True)
        for number in range(5):
            picture = Image.new("RGB", (24, 20), (100 * shade + 8 * number, 90, 20 * number))
            picture.save(here / "labelled" / name / f"{number}.png")
    command = ["evaluate", "encoder", str(encoder), *QUICK, "--probe"]
    assert run([*command, "labelled", "-o", "scores.json"]) == 0
    shown = capsys.readouterr().out
    assert "k-NN" in shown
    assert "50% by chance" in " ".join(shown.split())
    found = json.loads(Path("scores.json").read_text())
    assert found["chance"] == 0.5
    assert all(row["labels"].keys() == {"knn", "linear"} for row in found["rows"])
    assert run([*command, "nowhere"]) == 1
    assert "there is no folder nowhere" in capsys.readouterr().err
