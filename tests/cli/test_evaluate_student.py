"""`magkit evaluate student`: a small inversion, students of a few steps, the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from magkit.cli import run
from magkit.invert import CLASSES
from magkit.invert.targets.segmenter import Segmenter
from magkit.runtime.weights import to_storable, write_tensors

Capture = pytest.CaptureFixture[str]

ARMS = ["job", "real frame", "cut-out", "flat mask", "noise"]
FEW = ["--steps", "2", "--batch", "1", "--rows", "32", "--seeds", "1", "--threads", "1"]


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DAVIS with a bear and a dog, a network with random weights, a job, two photographs."""
    folder = tmp_path_factory.mktemp("material")
    rng = np.random.default_rng(0)
    for video, count in (("bear", 3), ("libby", 2), ("dog", 1)):
        for kind, suffix in (("Annotations", "png"), ("JPEGImages", "jpg")):
            clip = folder / "DAVIS" / kind / "480p" / video
            clip.mkdir(parents=True)
            for number in range(count):
                pixels = np.zeros((64, 96), np.uint8)
                pixels[10:36, 10 + 8 * number : 40 + 8 * number] = 255
                if suffix == "jpg":
                    pixels = pixels // 2 + rng.integers(0, 90, pixels.shape, np.uint8)
                Image.fromarray(pixels).save(clip / f"{number:05d}.{suffix}")
    photographs = folder / "photographs"
    photographs.mkdir()
    for number in range(3):
        pixels = rng.integers(0, 255, (80, 90, 3), np.uint8)
        Image.fromarray(pixels).save(photographs / f"{number}.jpg")
    torch.manual_seed(0)
    state = Segmenter(len(CLASSES) + 1).state_dict()
    texts = {"target": "segmenter", "classes": json.dumps(CLASSES)}
    write_tensors(folder / "a", {key: to_storable(value) for key, value in state.items()}, texts)
    target = ["--target", "segmenter", "--weights", str(folder / "a"), "--verifier", "none"]
    videos = [
        "--video",
        "bear",
        "--video",
        "dog",
        "--frames",
        "first",
        "--davis",
        str(folder / "DAVIS"),
    ]
    small = ["--size", "64", "--iterations", "2", "--threads", "1", "--device", "cpu", "-q"]
    assert run(["invert", *videos, *target, *small, "-o", str(folder / "job")]) == 0
    return folder


def asked(material: Path, *more: str) -> list[str]:
    chosen = ["--davis", str(material / "DAVIS"), "--weights", str(material / "a")]
    return ["evaluate", "student", str(material / "job"), *chosen, *FEW, *more]


def told(capsys: Capture, arguments: list[str]) -> Any:
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_students_from_end_to_end(material: Path, here: Path, capsys: Capture) -> None:
    photographs = ["--unrelated", str(material / "photographs")]
    report = told(capsys, asked(material, "-o", "out", *photographs))
    assert [row["arm"] for row in report["arms"]] == [*ARMS, "unrelated photographs"]
    assert {row["pictures"] for row in report["arms"]} == {2}
    assert report["classes"] == ["bear", "dog"]
    assert report["tests"] == {"same": 2, "other": 2, "all": 4}
    assert all(0 <= row["all"]["J"] <= 1 for row in report["arms"])
    assert json.loads(Path("out/report.json").read_text()) == report
    stored = sorted(path.name for path in Path("out").iterdir())
    assert "unrelated-photographs-0.json" in stored
    times = {name: Path("out", name).stat().st_mtime_ns for name in stored if name[0] != "r"}
    assert run(asked(material, "-o", "out", *photographs)) == 0
    shown = capsys.readouterr()
    assert "J on 2 other frames of the same videos (1) and 2 of other videos (1)" in shown.out
    assert "wrote out/report.json" in shown.err
    assert all(Path("out", name).stat().st_mtime_ns == time for name, time in times.items())
    assert run(asked(material, "-o", "out", "--steps", "3")) == 1
    assert "is of other pictures or settings" in capsys.readouterr().err


def test_labels_by_the_target(material: Path, here: Path, capsys: Capture) -> None:
    assert run(asked(material, "-o", "out", "--labels", "target", "-q")) == 0
    report = json.loads(Path("out/report.json").read_text())
    assert report["labels"] == "target"
    marks = [json.loads(Path("out/job-0.json").read_text())["fingerprint"]]
    assert run(asked(material, "-o", "hard", "-q")) == 0
    marks.append(json.loads(Path("hard/job-0.json").read_text())["fingerprint"])
    assert marks[0] != marks[1]
    real = [json.loads(Path(f, "real-frame-0.json").read_text()) for f in ("out", "hard")]
    assert real[0] == real[1], "other pictures keep their masks"


def test_runs_of_other_frames_are_not_compared(material: Path, here: Path, capsys: Capture) -> None:
    target = ["--target", "segmenter", "--weights", str(material / "a"), "--verifier", "none"]
    small = ["--size", "64", "--iterations", "1", "--threads", "1", "--device", "cpu", "-q"]
    davis = ["--davis", str(material / "DAVIS")]
    for name, videos in (
        ("more", ["--video", "bear", "--video", "dog", "--frames", "all"]),
        ("sweep", ["--video", "bear", "--frames", "first", "--sweep", "bn=0.1,1"]),
    ):
        assert run(["invert", *videos, *davis, *target, *small, "-o", name]) == 0
    assert run([*asked(material), "more"]) == 2
    assert "job and more are of different frames" in capsys.readouterr().err
    assert run(["evaluate", "student", "sweep", *davis, "--weights", str(material / "a")]) == 2
    assert "has a clip several times, of a sweep" in capsys.readouterr().err


def test_what_is_refused(material: Path, here: Path, capsys: Capture) -> None:
    job = str(material / "job")
    assert run([*asked(material), job]) == 2
    assert "two kinds of pictures would be called 'job'" in capsys.readouterr().err
    assert run([*asked(material, "--unrelated", str(here))]) == 1
    assert "holds no usable picture" in capsys.readouterr().err
    assert run(["evaluate", "student", str(here), "--davis", str(material / "DAVIS")]) == 1
    assert "config.json" in capsys.readouterr().err
    assert run(asked(material, "--rows", "100")) == 2
    assert "multiple of 32" in capsys.readouterr().err
