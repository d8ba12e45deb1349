"""`magkit invert --classes` as a user meets it, with a classifier that a plugin brings."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from magkit.cli import run
from magkit.plugins import registry

Capture = pytest.CaptureFixture[str]

PLUGIN = Path(__file__).parents[1] / "invert" / "tiny_classifier.py"
TINY = ["--target", "tiny", "--per-class", "3", "--iterations", "6", "--set", "batch=5"]
TINY += ["--bn", "1", "--threads", "1", "--device", "cpu"]
ALL = ["invert", "--classes", "all", *TINY]
LOOKED = ["--verifier", "tiny", "--verifier-opt", "seed=1"]


@pytest.fixture(autouse=True)
def tiny(site: Any, here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Installs the classifier, for this process and those that it starts."""
    site.install("magkit-tiny", PLUGIN.read_text(encoding="utf-8"))
    monkeypatch.setenv("PYTHONPATH", str(site.path), prepend=os.pathsep)
    registry.cache_clear()
    yield
    registry.cache_clear()


def pictures(folder: str | Path) -> dict[str, bytes]:
    found = sorted(Path(folder).glob("classes/*/*.png"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def told(capsys: Capture, *arguments: str) -> Any:
    """Runs a command that ends well, and returns its JSON object."""
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_pictures_of_all_classes_and_a_report(capsys: Capture) -> None:
    done = told(capsys, *ALL, *LOOKED, "--iterations", "25")
    assert done["run"] == str(Path("runs/invert-001"))
    assert done["classes"] == ["red", "green", "blue"]
    assert (done["pictures"], done["whole"], done["share"]) == (9, True, "1/1")
    folder = Path(done["run"])
    assert len(pictures(folder)) == 9
    report = json.loads((folder / "report.json").read_text())
    assert report["mean"] == done["mean"]
    assert done["mean"] == {"target": 1.0, "verifier": 1.0}
    assert done["report"] == str(folder / "report.json")
    assert (folder / "contact.png").is_file()
    record = json.loads((folder / "config.json").read_text())["config"]
    assert record["targets"][0]["options"]["seed"] == 0
    assert record["classes"]["size"] == [32, 48]


def test_what_a_person_is_shown(capsys: Capture) -> None:
    assert run([*ALL, *LOOKED, "--verifier-opt", "classes=red,lime,blue", "-o", "here"]) == 0
    shown = capsys.readouterr()
    assert "taken for what was asked; verifier: tiny" in shown.out
    for row in ("red", "green", "blue", "all", "noise"):
        assert row in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "batch-000: gradients at the start: " in shown.err
    assert "warning: 'tiny' knows no green: it can't verify them" in shown.err
    assert "warning: 'tiny' is inverted and verifies too" in shown.err
    assert f"wrote {Path('here/contact.png')}" in shown.err
    assert run([*ALL, "-o", "here"]) == 1
    assert "here holds a finished run" in capsys.readouterr().err


def test_nobody_verifies_unless_somebody_is_named(capsys: Capture) -> None:
    assert run([*ALL, "--classes", "red", "-o", "here"]) == 0
    shown = capsys.readouterr()
    assert "verifier" not in shown.out
    assert "next: magkit evaluate inversion here --verifier NAME" in shown.err
    assert list(json.loads(Path("here/report.json").read_text())["mean"]) == ["target"]
    judged = told(capsys, "evaluate", "inversion", "here", *LOOKED)
    assert list(judged["mean"]) == ["target", "verifier"]
    assert json.loads(Path("here/report.json").read_text()) == judged
    assert run(["evaluate", "inversion", "here", "--verifier", "none"]) == 0
    assert "taken for what was asked" in capsys.readouterr().out


def test_who_verifies_must_be_named_and_is_not_forgotten(capsys: Capture) -> None:
    assert run([*ALL, "--verifier-opt", "seed=1"]) == 2
    assert "--verifier-opt belong to a --verifier" in capsys.readouterr().err
    folder = told(capsys, *ALL, *LOOKED)["run"]
    report = (Path(folder) / "report.json").read_bytes()
    assert run(["evaluate", "inversion", folder]) == 2
    assert "results of the verifier 'tiny'" in capsys.readouterr().err
    assert (Path(folder) / "report.json").read_bytes() == report
    alone = told(capsys, "evaluate", "inversion", folder, "--verifier", "none")
    assert list(alone["mean"]) == ["target"]


def test_a_report_that_does_not_say_who_verified_it(capsys: Capture) -> None:
    folder = Path(told(capsys, *ALL, *LOOKED)["run"])
    report = folder / "report.json"
    told_by = json.loads(report.read_text())
    texts = ["", "{", "[]", "null", "[" * 100_000, report.read_text()[:50]]
    wrong: list[object] = [3, ["tiny"], float("nan"), {}]
    texts += [json.dumps({**told_by, "verifier": value}) for value in wrong]
    del told_by["verifier"]
    for text in [*texts, json.dumps(told_by)]:
        report.write_text(text)
        assert run(["evaluate", "inversion", str(folder)]) == 1, text[:60]
        shown = capsys.readouterr()
        assert "report.json" in shown.err
        assert "error of its own" not in shown.err
        assert not shown.out
        assert report.read_text() == text
    alone = told(capsys, "evaluate", "inversion", str(folder), "--verifier", "none")
    assert list(alone["mean"]) == ["target"]
    assert told(capsys, "evaluate", "inversion", str(folder)) == alone, "nobody verified it"


def test_two_shares_equal_one_process(capsys: Capture) -> None:
    whole = told(capsys, *ALL, "-o", "whole")
    first = told(capsys, *ALL, "-o", "shared", "--shard", "2/2")
    assert (first["pictures"], first["whole"], first["report"]) == (4, False, None)
    last = told(capsys, *ALL, "-o", "shared", "--shard", "1/2")
    assert (last["pictures"], last["whole"], last["share"]) == (5, True, "1/2")
    assert pictures("shared") == pictures("whole")
    assert last["mean"] == whole["mean"]


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
    capsys: Capture, wait_for: Callable[..., None], preloaded_python: str
) -> None:
    told(capsys, *ALL, "-o", "undisturbed")
    process = subprocess.Popen(
        [preloaded_python, "-c", SLOW, *ALL],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    state = Path("runs/invert-001/state-batch-001.pt")
    wait_for(state.is_file, process)
    process.kill()
    process.wait()
    assert len(pictures("runs/invert-001")) == 5
    done = told(capsys, *ALL)
    assert (done["run"], done["pictures"]) == (str(Path("runs/invert-001")), 4)
    assert pictures("runs/invert-001") == pictures("undisturbed")
    assert not state.exists()


REFUSED = [
    (2, ["--classes", "rd"], "did you mean 'red'"),
    (2, ["--classes", ""], "no list of classes"),
    (2, ["--classes", "all", "--video", "bear"], "--video has no meaning there"),
    (2, ["--classes", "all", "--masks", "."], "--masks has no meaning there"),
    (2, ["--classes", "all", "--frames", "first"], "--frames has no meaning there"),
    (2, ["--classes", "all", "--class", "red"], "--class has no meaning there"),
    (2, ["--classes", "all", "--tables", "a.toml"], "--tables has no meaning there"),
    (2, ["--classes", "all", "--sweep", "bn=1,2"], "--sweep has no meaning there"),
    (2, ["--classes", "all", "--per-class", "0"], "--per-class"),
    (2, ["--video", "bear", "--per-class", "3"], "--per-class belongs to --classes"),
    (2, ["--classes", "all", "--target", "tiny", "--opt", "fault=masks"], "for classes alone"),
    (2, ["--classes", "all", "--opt", "fault=sizeless"], "doesn't say how large"),
    (1, ["--classes", "all", "--opt", "fault=forgetful"], "remembers no statistics"),
    (2, ["--classes", "all", "--opt", "stride=7"], "multiples of 7"),
    (2, ["--classes", "all", "--preset", "classs"], "did you mean 'classes'"),
    (2, ["--classes", "all", "--set", "bathc=2"], "did you mean 'batch'"),
    (2, ["--classes", "all", "--verifier", "tin"], "did you mean 'tiny'"),
    (2, ["--classes", "all", *LOOKED, "--verifier-opt", "sed=1"], "did you mean 'seed'"),
    (2, ["--classes", "all", "--shard", "1/2"], "need to be told its folder"),
]


def test_what_is_refused(here: Path, capsys: Capture) -> None:
    before = sorted(here.rglob("*"))
    small = ["--target", "tiny", "--iterations", "2", "--threads", "1", "--device", "cpu"]
    for code, arguments, words in REFUSED:
        assert run(["invert", *small, *arguments]) == code, arguments
        shown = capsys.readouterr()
        assert words in shown.err, arguments
        assert "an error of its own" not in shown.err
        assert not shown.out
        assert sorted(here.rglob("*")) == before, arguments


def test_a_loss_that_is_no_number(capsys: Capture) -> None:
    assert run([*ALL, "--opt", "fault=nan", "-o", "here"]) == 1
    assert "the loss is no number after 0 steps" in capsys.readouterr().err
    assert not pictures("here")


def test_no_target_named(capsys: Capture) -> None:
    assert run(["invert", "--classes", "bear", "--size", "64", "--device", "cpu"]) == 2
    shown = capsys.readouterr().err
    assert "'maskrcnn-small' can't be asked for classes alone" in shown
    assert "--target names a classifier" in shown
    assert not Path("runs").exists()


def test_help_names_it(capsys: Capture) -> None:
    assert run(["invert", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--classes" in shown
    assert "--per-class" in shown
