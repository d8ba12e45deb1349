"""`magkit evaluate inversion`: a finished job is judged again, as it was or by others."""

import json
import shutil
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

TINY = ["--size", "64", "--iterations", "2", "--threads", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DAVIS with two frames of a bear, and networks with random weights: a, b and c."""
    folder = tmp_path_factory.mktemp("material")
    for kind, suffix in (("Annotations", "png"), ("JPEGImages", "jpg")):
        clip = folder / "DAVIS" / kind / "480p" / "bear"
        clip.mkdir(parents=True)
        for number in range(2):
            mask = np.zeros((64, 96), np.uint8)
            mask[10:36, 10 + 8 * number : 40 + 8 * number] = 255
            Image.fromarray(mask).save(clip / f"{number:05d}.{suffix}")
    for seed, name in enumerate("abc"):
        torch.manual_seed(seed)
        state = Segmenter(len(CLASSES) + 1).state_dict()
        texts = {"target": "segmenter", "classes": json.dumps(CLASSES)}
        write_tensors(
            folder / name, {key: to_storable(value) for key, value in state.items()}, texts
        )
    return folder


@pytest.fixture(scope="module")
def made(material: Path) -> Path:
    """A finished job: a inverted, b its verifier."""
    target = ["--target", "segmenter", "--weights", str(material / "a")]
    verifier = ["--verifier-weights", str(material / "b"), "-q", "-o", str(material / "job")]
    davis = ["--video", "bear", "--davis", str(material / "DAVIS")]
    assert run(["invert", *davis, *target, *verifier, *TINY]) == 0
    return material / "job"


@pytest.fixture
def job(made: Path, here: Path) -> Path:
    """A copy of it, in the working directory."""
    shutil.copytree(made, here / "job")
    return Path("job")


@pytest.fixture
def networks(material: Path) -> list[str]:
    """What the job was made with."""
    chosen = ["--davis", str(material / "DAVIS"), "--weights", str(material / "a")]
    return [*chosen, "--verifier-weights", str(material / "b"), "--device", "cpu", "--threads", "1"]


def told(capsys: Capture, *arguments: str | Path) -> Any:
    assert run(["evaluate", "inversion", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_figures_are_those_of_the_jobs_own_report(
    job: Path, networks: list[str], capsys: Capture
) -> None:
    own = (job / "report.json").read_bytes()
    for name in ("report.json", "contact.png"):
        (job / name).unlink()
    assert told(capsys, job, *networks) == json.loads(own)
    assert (job / "report.json").read_bytes() == own
    assert (job / "contact.png").is_file()


def test_another_verifier_says_something_else(
    job: Path, material: Path, networks: list[str], capsys: Capture
) -> None:
    before = json.loads((job / "report.json").read_text())
    after = told(capsys, job, *networks, "--verifier-weights", str(material / "c"))
    assert after["mean"]["verifier_bn"] != before["mean"]["verifier_bn"]
    assert after["mean"]["ssim"] == before["mean"]["ssim"]
    assert json.loads((job / "report.json").read_text()) == after


def test_what_a_person_is_shown(job: Path, networks: list[str], capsys: Capture) -> None:
    assert run(["evaluate", "inversion", str(job), *networks]) == 0
    shown = capsys.readouterr()
    assert "what is seen in it; verifier: segmenter" in shown.out
    assert "real frame" in shown.out
    assert f"wrote {job / 'report.json'}" in shown.err
    assert "warning: 'segmenter' is inverted and verifies too" in shown.err
    assert run(["evaluate", "inversion", "--help"]) == 0
    assert "RUN" in capsys.readouterr().out


def test_what_is_refused_leaves_the_report_as_it_was(
    job: Path, material: Path, networks: list[str], capsys: Capture
) -> None:
    report = (job / "report.json").read_bytes()
    other = Path("other/Annotations/480p/bear")
    shutil.copytree(material / "DAVIS/Annotations/480p/bear", other)
    Image.fromarray(np.eye(64, 96, dtype=np.uint8)).save(other / "00001.png")
    Path("empty/Annotations/480p/swan").mkdir(parents=True)
    for code, arguments, words in (
        (1, ["--davis", "other"], "the masks are not those"),
        (2, ["--davis", "empty"], "has no video 'bear'"),
        (2, ["--davis", "absent"], "absent"),
        (2, ["--verifier", "none"], "belong to a --verifier"),
        (1, ["--verifier-weights", "absent"], "the verifier can't be used"),
    ):
        assert run(["evaluate", "inversion", str(job), *networks, *arguments]) == code, arguments
        shown = capsys.readouterr()
        assert words in shown.err
        assert not shown.out
    others = [str(material / "c") if part == str(material / "a") else part for part in networks]
    assert run(["evaluate", "inversion", str(job), *others]) == 1
    assert "these are not the weights of 'segmenter'" in capsys.readouterr().err
    (job / "bear/frames/00001.png").unlink()
    assert run(["evaluate", "inversion", str(job), *networks]) == 1
    assert "'bear' lacks 1 of its 2 frames, 00001 for one" in capsys.readouterr().err
    assert (job / "report.json").read_bytes() == report


def test_what_is_no_job(here: Path, networks: list[str], capsys: Capture) -> None:
    Path("training").mkdir()
    Path("training/config.json").write_text('{"kind": "finetune", "format": 1, "config": {}}')
    for folder, words in (
        ("absent", "absent is not the folder of a run"),
        (".", "no config.json"),
        ("training", "is a run of 'finetune', not of 'invert'"),
    ):
        assert run(["evaluate", "inversion", folder, *networks]) == 1
        assert words in capsys.readouterr().err


def test_the_nearest_training_pictures(
    job: Path, material: Path, networks: list[str], here: Path, capsys: Capture
) -> None:
    rng = np.random.default_rng(0)
    for folder, count in (("members", 3), ("others", 4)):
        (here / folder).mkdir()
        for number in range(count):
            pixels = rng.integers(0, 256, (70, 90, 3), np.uint8)
            Image.fromarray(pixels).save(here / folder / f"{folder[0]}{number}.png")
    before = (job / "report.json").read_bytes()
    found = told(capsys, job, *networks, "--nearest", "members", "--held-out", "others")
    assert found == json.loads((job / "nearest.json").read_text())
    assert (found["members"], found["others"], len(found["frames"])) == (3, 4, 2)
    assert set(found["auc"]) == {"features", "pixels"}
    assert set(found["controls"]) == {"flat mask", "noise"}
    assert (job / "report.json").read_bytes() == before
    assert Image.open(job / "nearest.png").size == (96, 96)
    assert run(["evaluate", "inversion", str(job), *networks, "--nearest", "members"]) == 0
    shown = capsys.readouterr()
    assert "nearest by features" in shown.out
    assert "without --held-out it can't be said" in shown.err
    assert run(["evaluate", "inversion", str(job), *networks, "--held-out", "others"]) == 2
    assert "--nearest, which is missing" in capsys.readouterr().err
    assert run(["evaluate", "inversion", str(job), *networks, "--nearest", "nowhere"]) == 1
