"""`magkit invert` as a user meets it: from end to end, killed, shared, refused."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from magkit.cli import run
from magkit.cli.invert import local_device
from magkit.invert import CLASSES
from magkit.invert.targets.maskrcnn_networks import maskrcnn_small
from magkit.invert.targets.segmenter import Segmenter
from magkit.runtime.files import file_lock
from magkit.runtime.weights import to_storable, write_tensors

Capture = pytest.CaptureFixture[str]

TINY = ["--size", "64", "--iterations", "4", "--threads", "1", "--device", "cpu"]
TINY += ["--set", "keyframe_steps=1", "--set", "warm_steps=1", "--set", "keyframe=2"]


def save(path: Path, name: str, model: nn.Module, classes: tuple[str, ...] = CLASSES) -> None:
    tensors = {key: to_storable(value) for key, value in model.state_dict().items()}
    write_tensors(path, tensors, {"target": name, "classes": json.dumps(classes)})


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DAVIS with a bear in five frames and a cow in one, and networks with random weights."""
    folder = tmp_path_factory.mktemp("material")
    for video, count in {"bear": 5, "cows": 1}.items():
        masks, images = (
            folder / "DAVIS" / kind / "480p" / video for kind in ("Annotations", "JPEGImages")
        )
        masks.mkdir(parents=True)
        images.mkdir(parents=True)
        for number in range(count):
            mask = np.zeros((64, 96), np.uint8)
            mask[10 + 2 * number : 36 + 2 * number, 10 + 4 * number : 40 + 4 * number] = 255
            Image.fromarray(mask).save(masks / f"{number:05d}.png")
            Image.fromarray(255 - mask).convert("RGB").save(images / f"{number:05d}.jpg")
    torch.manual_seed(0)
    save(folder / "detector", "maskrcnn-small", maskrcnn_small(len(CLASSES) + 1))
    save(folder / "target", "segmenter", Segmenter(len(CLASSES) + 1))
    save(folder / "verifier", "segmenter", Segmenter(len(CLASSES) + 1))
    save(folder / "dogs", "segmenter", Segmenter(2), ("dog",))
    return folder


def command(material: Path) -> list[str]:
    """What inverts a segmenter that knows bears, without a look at the result."""
    davis = ["--davis", str(material / "DAVIS"), "--video", "bear"]
    target = ["--target", "segmenter", "--weights", str(material / "target")]
    return ["invert", *davis, *target, *TINY, "--verifier", "none"]


@pytest.fixture
def bear(material: Path, here: Path) -> list[str]:
    """That command, in an empty folder."""
    return command(material)


@pytest.fixture(autouse=True)
def few_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judges take their time."""
    monkeypatch.setattr("magkit.invert.judge.CONTROLS", 1)


def frames(folder: str | Path) -> dict[str, bytes]:
    found = sorted(Path(folder).rglob("frames/*.png"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def told(capsys: Capture, *arguments: str) -> Any:
    """Runs a command that ends well, and returns its JSON object."""
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture(scope="module")
def undisturbed(material: Path) -> dict[str, bytes]:
    """The frames of one process."""
    assert run([*command(material), "-q", "-o", str(material / "undisturbed")]) == 0
    return frames(material / "undisturbed")


def test_a_detector_is_inverted_and_its_frames_become_a_video(
    material: Path, here: Path, capsys: Capture
) -> None:
    networks = ["--weights", str(material / "detector")]
    networks += ["--verifier-weights", str(material / "verifier")]
    davis = ["--video", "bear", "--davis", str(material / "DAVIS")]
    done = told(capsys, "invert", *davis, *networks, *TINY, "--frames", "0,2-3")
    assert done["run"] == str(Path("runs/invert-001"))
    assert (done["clips"], done["frames"], done["whole"]) == (["bear"], 3, True)
    folder = Path(done["run"])
    names = [f"{number}.png" for number in ("00000", "00002", "00003")]
    for panel in ("frames", "masks", "seen", "real"):
        assert sorted(p.name for p in (folder / "bear" / panel).glob("*.png")) == names
    assert len(list((folder / "bear" / "records").iterdir())) == 3
    report = json.loads((folder / "report.json").read_text())
    assert report["mean"] == pytest.approx(done["mean"])
    assert list(report["clips"]["bear"]["controls"]) == [
        *("noise", "flat mask", "cut-out", "real frame")
    ]
    assert (folder / "contact.png").is_file()
    assert done["report"] == str(folder / "report.json")
    for number, place in enumerate((folder / "bear", folder / "bear" / "frames")):
        strung = told(capsys, "stitch", str(place), "--gaps", "-o", f"{number}.mp4")
        assert (strung["frames"], strung["size"], strung["missing"]) == (3, [96, 64], [1])
        assert strung["fps"] == 24
    panels = ["--panels", "masks,frames,seen,real", "--gaps", "-o", "beside.mp4"]
    assert told(capsys, "stitch", str(folder / "bear"), *panels)["size"][0] >= 4 * 96


def test_what_a_person_is_shown(bear: list[str], material: Path, capsys: Capture) -> None:
    looked = ["--verifier", "segmenter", "--verifier-weights", str(material / "verifier")]
    assert run([*bear, "--video", "cows", "--frames", "first", *looked, "-o", "here"]) == 0
    shown = capsys.readouterr()
    assert "what is seen in it; verifier: segmenter" in shown.out
    for row in ("bear", "cows", "made", "noise", "flat mask", "cut-out", "real frame", "all"):
        assert row in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "bear: gradients at the start: " in shown.err
    assert f"next: magkit stitch {Path('here/bear')}" in shown.err
    assert f"wrote {Path('here/contact.png')}" in shown.err
    assert run([*bear, "--video", "cows", "--frames", "first", *looked, "-o", "here"]) == 1
    assert "here holds a finished run" in capsys.readouterr().err


# A state after each step, and time for the test to see it.
SLOW = """
import time
from magkit.cli import run
from magkit.invert import optimizer
from magkit.invert.frames_on_disk import OutputFolder
keep, optimizer.SAVE_INTERVAL = OutputFolder.save_state, 0.0
OutputFolder.save_state = lambda *given: (keep(*given), time.sleep(0.2))
run()
"""


def test_killed_without_warning_and_continued_equals_undisturbed(
    bear: list[str],
    undisturbed: dict[str, bytes],
    capsys: Capture,
    wait_for: Callable[..., None],
    preloaded_python: str,
) -> None:
    clip = Path("runs/invert-001/bear")
    process = subprocess.Popen(
        [preloaded_python, "-c", SLOW, *bear],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )

    def in_the_middle() -> bool:
        return (clip / "frames/00002.png").is_file() and (clip / "state-00001.pt").is_file()

    wait_for(in_the_middle, process)
    process.kill()
    process.wait()
    assert (clip / "state-00001.pt").is_file()
    assert len(frames("runs/invert-001")) == 2
    done = told(capsys, *bear)
    assert (done["run"], done["frames"]) == (str(Path("runs/invert-001")), 3)
    assert frames("runs/invert-001") == undisturbed
    assert not list(clip.glob("state-*"))


def test_two_processes_at_once_equal_one(
    bear: list[str], material: Path, undisturbed: dict[str, bytes], preloaded_python: str
) -> None:
    looked = ["--verifier", "segmenter", "--verifier-weights", str(material / "verifier")]
    shared = [preloaded_python, "-m", "magkit", *bear, *looked, "-o", "shared", "--json"]
    processes = [
        subprocess.Popen(
            [*shared, "--shard", f"{number}/2"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for number in (1, 2)
    ]
    results = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    shown = [json.loads(out) for out, _ in results]
    assert [each["share"] for each in shown] == ["1/2", "2/2"]
    assert any(each["whole"] for each in shown)
    assert frames("shared") == undisturbed
    assert json.loads(Path("shared/report.json").read_text())["clips"].keys() == {"bear"}


def test_torchruns_processes_share_the_job(
    bear: list[str],
    material: Path,
    undisturbed: dict[str, bytes],
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bear += ["--verifier", "segmenter", "--verifier-weights", str(material / "verifier")]
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert run(bear) == 2
    assert "need to be told its folder" in capsys.readouterr().err
    assert not Path("runs").exists()
    first = told(capsys, *bear, "-o", "shared")
    assert (first["share"], first["whole"], first["report"]) == ("2/2", False, None)
    monkeypatch.setenv("RANK", "0")
    last = told(capsys, *bear, "-o", "shared")
    assert (last["share"], last["whole"]) == ("1/2", True)
    assert frames("shared") == undisturbed
    assert Path("shared/report.json").is_file()
    monkeypatch.setenv("RANK", "first")
    assert run([*bear, "-o", "shared"]) == 2
    assert "RANK" in capsys.readouterr().err


def test_torchruns_processes_have_a_gpu_each(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("cuda", "cuda:0", "cpu")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert [str(local_device(torch.device(name))) for name in names] == list(names)
    monkeypatch.setenv("LOCAL_RANK", "3")
    found = [str(local_device(torch.device(name))) for name in names]
    assert found == ["cuda:3", "cuda:0", "cpu"]


def test_sweeps_tables_and_settings(bear: list[str], capsys: Capture) -> None:
    Path("own.toml").write_text('[bear]\nlr = 0.2\n[bear.frames."1"]\nwarm = 3\n')
    sweep = ["--sweep", "bn=0.5,2", "--sweep", "start=before,noise", "--frames", "0-1"]
    sweep += ["--iterations", "2"]
    done = told(capsys, *bear, *sweep, "--tables", "own.toml", "--set", "seed=5", "--seed", "3")
    names = [f"bn={b},start={s}/bear" for b in ("0.5", "2") for s in ("before", "noise")]
    assert done["clips"] == names
    config = json.loads((Path(done["run"]) / "config.json").read_text())["config"]["clips"]
    for name in names:
        settings = config[name]["settings"]
        assert (settings["lr"], settings["seed"], settings["warm_steps"]) == (0.2, 3, 1)
        assert f"bn={settings['bn']:g},start={settings['start']}/bear" == name
        record = Path(done["run"]) / name / "records" / "00001.json"
        steps = 6 if settings["start"] == "before" else 3
        assert json.loads(record.read_text())["steps"] == steps


def test_a_verifier_must_be_somebody_else(bear: list[str], material: Path, capsys: Capture) -> None:
    first = [*bear, "--frames", "first", "--verifier", "segmenter", "--verifier-weights"]
    assert run([*first, str(material / "dogs"), "-o", "here"]) == 0
    shown = capsys.readouterr().err
    assert "warning: 'segmenter' is inverted and verifies too" in shown
    assert "warning: 'segmenter' knows no bear: it can't verify them" in shown
    report = json.loads(Path("here/report.json").read_text())
    assert "verifier_J" not in report["mean"]
    assert report["mean"]["target_J"] == 0


def test_nobody_verifies(bear: list[str], capsys: Capture) -> None:
    done = told(capsys, *bear, "--frames", "first", "-o", "here")
    assert (done["whole"], done["report"], done["mean"]) == (True, None, None)
    assert not Path("here/report.json").exists()
    again = told(capsys, *bear, "--frames", "first", "-o", "here")
    assert again["frames"] == 0


def test_a_verifier_that_can_t_be_used_is_found_out_before_the_work(
    bear: list[str], material: Path, capsys: Capture
) -> None:
    for code, arguments, words in (
        (2, ["--verifier", "segmentr"], "did you mean 'segmenter'"),
        (1, ["--verifier", "segmenter", "--verifier-weights", "absent"], "absent"),
        (2, ["--verifier", "segmenter", "--verifier-weights", str(material / "detector")], "of"),
    ):
        assert run([*bear, *arguments, "-o", "here"]) == code
        shown = capsys.readouterr()
        assert words in shown.err
        assert not shown.out
        assert not Path("here").exists()


def test_somebody_else_is_writing_the_report(
    bear: list[str], material: Path, capsys: Capture
) -> None:
    assert run([*bear, "--frames", "first", "-o", "here", "-q"]) == 0
    assert capsys.readouterr() == ("", ""), "-q is quiet"
    bear += ["--verifier", "segmenter", "--verifier-weights", str(material / "verifier")]
    with file_lock(Path("here"), ".report"):
        assert told(capsys, *bear, "--frames", "first", "-o", "here")["report"] is None
    assert not Path("here/report.json").exists()


def test_a_damaged_frame_is_no_report(bear: list[str], material: Path, capsys: Capture) -> None:
    assert run([*bear, "--frames", "first", "-o", "here", "-q"]) == 0
    frame = Path("here/bear/frames/00000.png")
    frame.write_bytes(frame.read_bytes()[:99])
    bear += ["--verifier", "segmenter", "--verifier-weights", str(material / "verifier")]
    assert run([*bear, "--frames", "first", "-o", "here"]) == 1
    shown = capsys.readouterr()
    assert "00000.png is damaged" in shown.err
    assert not Path("here/report.json").exists()


REFUSED = [
    (2, ["--video", "bare"], "did you mean 'bear'"),
    (2, ["--video", "bear", "--frames", "90-99"], "'bear' has 5"),
    (2, ["--video", "bear", "--frames", "some"], "no choice of frames"),
    (2, ["--video", "bear", "--class", "beer"], "did you mean 'bear'"),
    (2, ["--video", "bear", "--set", "warm_step=2"], "did you mean 'warm_steps'"),
    (2, ["--video", "bear", "--set", "warm_steps"], "not of the form KEY=VALUE"),
    (2, ["--video", "bear", "--lr", "0"], "lr must be above 0"),
    (2, ["--video", "bear", "--preset", "fats"], "did you mean 'fast'"),
    (2, ["--video", "bear", "--size", "8"], "size must be at least 32"),
    (2, ["--video", "bear", "--tables", "absent.toml"], "can't be read"),
    (2, ["--video", "bear", "--tables", "."], "can't be read"),
    (2, ["--video", "bear", "--tables", "odd.toml"], "is not TOML"),
    (2, ["--video", "bear", "--tables", "cow.toml"], "'cow', which is not inverted"),
    (2, ["--video", "bear", "--sweep", "itertions=1,2"], "did you mean 'iterations'"),
    (2, ["--video", "bear", "--sweep", "bn=1,much"], "'bn' of the inversion must be a number"),
    (2, ["--video", "bear", "--shard", "3/2", "-o", "r"], "no shard 3 of 2"),
    (2, ["--video", "bear", "--shard", "1/2"], "need to be told its folder"),
    (2, ["--video", "bear", "--target", "segmenter=0"], "no target with a weight"),
    (2, ["--video", "bear", "--target", "segmentr"], "did you mean 'segmenter'"),
    (2, ["--video", "bear", "--opt", "rois=true"], "'rois'"),
    (2, ["--video", "bear", "--masks", "."], "takes the place of DAVIS' videos"),
    (2, ["--video", "bear", "--device", "gpu"], "no device is named 'gpu'"),
    (2, [], "nothing is named to invert"),
    (1, ["--masks", "absent"], "absent is no folder of masks"),
    (1, ["--video", "bear", "-o", "odd.toml"], "odd.toml exists"),
    (1, ["--video", "bear", "-o", "odd.toml/run"], "can't be made"),
]


def test_what_is_refused(material: Path, here: Path, capsys: Capture) -> None:
    Path("odd.toml").write_text("bear = [")
    Path("cow.toml").write_text("[cow]\nbn = 2\n")
    before = sorted(here.rglob("*"))
    known = ["--target", "segmenter", "--weights", str(material / "target")]
    for code, arguments, words in REFUSED:
        target = [] if "--target" in arguments else known
        davis = ["--davis", str(material / "DAVIS"), "--verifier", "none"]
        assert run(["invert", *davis, *target, *TINY, *arguments]) == code, arguments
        shown = capsys.readouterr()
        assert words in shown.err, arguments
        assert "an error of its own" not in shown.err
        assert not shown.out
        assert sorted(here.rglob("*")) == before, arguments


def test_weights_that_are_refused(material: Path, here: Path, capsys: Capture) -> None:
    Path("cut").write_bytes((material / "target").read_bytes()[:5000])
    Path("note").write_text("weights")
    save(Path("other"), "segmenter", nn.Linear(3, 3))
    before = sorted(here.rglob("*"))
    for code, name, words in (
        (1, "absent", "the weights of 'segmenter' are missing: absent"),
        (1, "cut", "cut is not a weights file"),
        (1, "note", "note is not a weights file"),
        (1, "other", "other does not fit the target 'segmenter'"),
        (2, str(material / "detector"), "holds weights of the target 'maskrcnn-small'"),
    ):
        davis = ["--davis", str(material / "DAVIS"), "--video", "bear"]
        target = ["--target", "segmenter", "--weights", name, "--verifier", "none"]
        assert run(["invert", *davis, *target, *TINY]) == code, name
        shown = capsys.readouterr()
        assert words in shown.err
        assert not shown.out
        assert sorted(here.rglob("*")) == before
    two = ["--target", "segmenter", "--target", "maskrcnn-small", "--weights", "other"]
    assert run(["invert", "--video", "bear", *two, *TINY]) == 2
    assert "2 targets are named, and 1 weights files" in capsys.readouterr().err


def test_where_davis_was_looked_for(
    material: Path, bear: list[str], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bear = [part for part in bear if part not in ("--davis", str(material / "DAVIS"))]
    assert run(bear) == 1
    shown = capsys.readouterr().err
    for place in ("--davis", "MAGKIT_DAVIS", "./DAVIS", "./data/DAVIS"):
        assert place in shown
    monkeypatch.setenv("MAGKIT_DAVIS", "nowhere")
    assert run(bear) == 2
    assert "nowhere" in capsys.readouterr().err
    monkeypatch.setenv("MAGKIT_DAVIS", str(material / "DAVIS"))
    assert told(capsys, *bear, "--frames", "first")["frames"] == 1
