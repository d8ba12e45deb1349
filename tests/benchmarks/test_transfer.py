"""The benchmark of transfer, from end to end with next to nothing, and its statistics."""

import json
import math
import runpy
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from magkit.finetune.initialization import Initialization
from magkit.magnify import fast_spec
from magkit.magnify.encoder import EncoderInfo, save_encoder
from magkit.magnify.fast import FastEncoder
from magkit.plugins import registry

SIZES = ("stem=8", "width=8", "guide=8", "hidden=8")


BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def transfer() -> dict[str, Any]:
    return runpy.run_path(str(BENCHMARKS / "transfer.py"))


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return runpy.run_path(str(BENCHMARKS / "transfer_report.py"))


@pytest.fixture
def quick(transfer: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """One scene to judge on, at its real size."""
    own = transfer["train_cell"].__globals__
    original = own["cases"]
    monkeypatch.setitem(own, "cases", lambda *args: list(original(*args))[:1])


def arguments(folder: Path, *more: str) -> list[str]:
    tiny = ["--steps", "2", "--batch", "1", "--size", "64", "--scenes", "8", "--points", "2"]
    tiny += ["--shares", "25", "--seeds", "1", "--workers", "0", "--repeats", "1"]
    return ["-o", str(folder), *tiny, *(x for size in SIZES for x in ("--opt", size)), *more]


def test_from_end_to_end(
    transfer: dict[str, Any],
    report: dict[str, Any],
    quick: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("matplotlib")
    config = fast_spec.FastConfig(stem=8, width=8, guide=8, hidden=8)
    about = EncoderInfo(
        magnifier="magnet-fast",
        config=asdict(config),
        branches=("texture", "motion"),
        method="byol",
        steps=1,
    )
    save_encoder(tmp_path / "e", FastEncoder(config).state_dict(), about)
    folder, plot = tmp_path / "cells", tmp_path / "curve.png"
    given = arguments(folder, "--encoder", f"byol={tmp_path / 'e'}")
    transfer["main"]([*given, "--cells", "scratch-*"])
    files = sorted(path.name for path in folder.glob("*.json"))
    assert files == ["scratch-25-0.json"]
    before = (folder / files[0]).stat().st_mtime_ns
    transfer["main"](given)
    capsys.readouterr()
    report["main"]([str(folder), "--plot", str(plot)])
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split(" | ")[1] for row in rows] == ["scratch", "frozen", "byol"]
    assert Image.open(plot).size[0] > 100
    assert (folder / files[0]).stat().st_mtime_ns == before, "what is done is not done again"
    record = json.loads((folder / "byol-25-0.json").read_text())
    assert [point["step"] for point in record["points"]] == [1, 2]
    assert record["origin"]
    assert len(record["scenes"]) == 1
    assert record["scenes"][0] == pytest.approx(record["points"][-1]["region_ssim"])
    with pytest.raises(SystemExit, match="other settings"):
        transfer["main"]([*given, "--steps", "3"])
    with pytest.raises(SystemExit, match="no method is named 'mocco'"):
        transfer["main"]([*given, "--starts", "mocco"])


def test_a_frozen_encoder_stays_random(transfer: dict[str, Any], tmp_path: Path) -> None:
    given = transfer["parsed"](arguments(tmp_path))
    frozen, scratch = (
        transfer["recipe_of"](given, transfer["Cell"](start, 100.0, 0))
        for start in ("frozen", "scratch")
    )
    assert (frozen.encoder.freeze, scratch.encoder.freeze) == (2, 0)
    assert frozen.train == scratch.train


def test_nothing_that_is_judged_on_is_trained_on(transfer: dict[str, Any], tmp_path: Path) -> None:
    for n in range(11):
        pixels = np.full((80, 80, 3), 20 * n, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{n:02}.png")
    given = transfer["parsed"](["-o", str(tmp_path / "out"), "--images", str(tmp_path)])
    train, judged = transfer["sources_of"](given)
    assert (len(train.pictures), len(judged.pictures)) == (8, 3)
    names = {part.name(n) for part in (train.pictures, judged.pictures) for n in range(len(part))}
    assert len(names) == 11
    given = transfer["parsed"](["-o", str(tmp_path / "out")])
    train, judged = transfer["sources_of"](given)
    shown = judged.pictures.picture(0)
    assert torch.equal(shown, transfer["ProceduralPictures"]().picture(2048))
    cutout = judged.cutouts.cutout(3, 64)
    assert max(cutout.shape[1:]) <= 64
    shapes = transfer["ProceduralCutouts"](512)
    assert torch.equal(cutout[3], shapes.cutout(2051, 64)[3])
    height, width = cutout.shape[1:]
    colours = transfer["ProceduralPictures"]().picture(2051)[:, :height, :width] / 255
    assert torch.equal(cutout[:3], colours)


def test_a_methods_encoder_is_trained_once(
    transfer: dict[str, Any], quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = []

    def pretrain(job: Any, *, output: Path, **_: Any) -> None:
        jobs.append(job)
        config = fast_spec.FastConfig(stem=8, width=8, guide=8, hidden=8)
        branches = ("texture", "motion")
        about = EncoderInfo(
            magnifier="magnet-fast",
            config=asdict(config),
            branches=branches,
            method="scrl",
            steps=1,
        )
        output.mkdir()
        record = {"kind": "pretrain", "format": 1, "config": {}}
        (output / "config.json").write_text(json.dumps(record))
        state = FastEncoder(config).state_dict()
        save_encoder(output / "model.safetensors", state, about)

    monkeypatch.setitem(transfer["pretrained"].__globals__, "pretrain", pretrain)
    given = arguments(tmp_path, "--starts", "scrl", "--pretrain-steps", "9")
    transfer["main"](given)
    transfer["main"](given)
    transfer["main"]([*given, "--pretrain-steps", "8", "--cells", "none"])
    job, other = jobs
    assert other.settings == {"steps": 8}, "that of other steps is another one"
    assert (job.method, job.magnifier_options, job.data) == ("scrl", list(SIZES), None)
    assert job.settings == {"steps": 9}
    assert (tmp_path / "scrl-25-0.json").is_file()


def test_a_whole_magnifier_is_a_start(
    transfer: dict[str, Any], quick: None, tmp_path: Path
) -> None:
    given = arguments(tmp_path, "--starts", "warp", "--pretrain-steps", "1")
    transfer["main"](given)
    (weights,) = tmp_path.glob("pretrain-warp-*/model.safetensors")
    record = json.loads((tmp_path / "warp-25-0.json").read_text())
    assert record["origin"] == sha256(weights.read_bytes()).hexdigest()
    spec = registry().magnifier("magnet-fast")
    recipe = transfer["recipe_of"](transfer["parsed"](given), transfer["Cell"]("warp", 25.0, 0))
    origin = Initialization(spec, SIZES, weights, None)
    model, _ = origin.network(origin.config(), recipe)
    start = load_file(weights)
    assert all(torch.equal(value, start[name]) for name, value in model.state_dict().items())
    with pytest.raises(SystemExit, match="not of the form"):
        transfer["main"]([*given, "--encoder", f"warp={weights}"])


def test_intervals_and_steps(report: dict[str, Any]) -> None:
    mean, half = report["interval"]([1.0, 2.0, 4.0])
    assert mean == pytest.approx(7 / 3)
    assert half == pytest.approx(4.302653 * np.std([1, 2, 4], ddof=1) / math.sqrt(3), rel=1e-6)
    assert math.isnan(report["interval"]([1.0])[1])
    result = report["Result"]
    cells = [
        result([{"step": 5, "region_ssim": a}, {"step": 10, "region_ssim": b}], [b])
        for a, b in ((0.2, 0.6), (0.4, 0.8))
    ]
    scratch = [[result([{"step": 10, "region_ssim": goal}], [goal])] for goal in (0.3, 0.5, 0.71)]
    assert report["over"](cells, scratch[1]) == "0.200 (0.100 to 0.300)"
    assert [report["steps_to"](cells, there) for there in scratch] == ["5", "10", "never"]
    assert report["steps_to"](cells, ()) == "?"


def test_labels_saved(report: dict[str, Any]) -> None:
    scratch = {1.0: 0.6, 10.0: 0.8, 100.0: 0.79}
    saved = report["labels_saved"]
    assert saved(scratch, 1.0, 0.7) == (pytest.approx(math.sqrt(10) - 1), "2.2")
    assert saved(scratch, 10.0, 0.7)[0] == pytest.approx(math.sqrt(10) / 10 - 1)
    assert saved(scratch, 1.0, 0.81) == (math.inf, "> 99.0")
    assert saved(scratch, 10.0, 0.8)[0] == pytest.approx(0)
    assert saved(scratch, 100.0, 0.8)[0] == pytest.approx(-0.9)
    assert saved(scratch, 10.0, 0.5) == (-math.inf, "< -0.9")
