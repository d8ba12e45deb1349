"""`magkit gen-data` as it is run."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magkit.cli import run
from magkit.data import summary

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Capture = pytest.CaptureFixture[str]
SMALL = ("gen-data", "--count", "2", "--size", "32", "--procedural", "3", "--scene", "objects=1,2")
ALONE = (*SMALL, "--threads", "1")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dry runs make four scenes."""
    monkeypatch.setattr(summary, "TIME_LIMIT", 0)


def said(capsys: Capture, *arguments: str) -> Any:
    """Runs a command that ends well, and returns its JSON object."""
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_writes_a_folder_with_two_processes(magkit: Run, tmp_path: Path) -> None:
    made = magkit(*SMALL, "--threads", "2", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout) == {
        "output": str(Path("data/triplets")),
        "format": "folder",
        "kind": "triplets",
        "scenes": 2,
        "share": "1/1",
        "whole": True,
        "resumed": 0,
        "broken": [],
    }
    folder = tmp_path / "cwd" / "data" / "triplets"
    assert len((folder / "index.jsonl").read_text().splitlines()) == 2
    assert (folder / "scenes" / "000001" / "m.png").is_file()


def test_what_exists_and_what_makes_no_sense(tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "x"
    arguments = [*ALONE, "-o", str(folder), "--quiet"]
    assert run(arguments) == 0
    assert capsys.readouterr() == ("", "")
    assert run(arguments) == 1
    assert "exists" in capsys.readouterr().err
    for wrong in (["--scene", "objects=5,1"], ["--scene", "size=9"], ["--scene", "odd=1"]):
        assert run([*arguments, *wrong]) == 2
    for wrong in (["--shard", "3/2"], ["--format", "published", "--kind", "frames"]):
        assert run([*arguments, *wrong]) == 2
    assert run([*arguments, "--size", "3"]) == 2
    assert run([*arguments, "--images", str(tmp_path / "absent"), "--overwrite"]) == 1
    assert "absent" in capsys.readouterr().err
    assert run([*arguments, "--kind", "frames", "--overwrite"]) == 0
    assert (folder / "frames" / "000001.png").is_file()


def test_shares_are_joined_by_a_last_call(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not said(capsys, *ALONE, "--shard", "2/2")["whole"]
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    first = said(capsys, *ALONE)
    assert (first["share"], first["whole"]) == ("1/2", False)
    assert not (here / "data" / "triplets").exists()
    monkeypatch.delenv("RANK")
    assert said(capsys, *ALONE)["resumed"] == 2
    assert (here / "data" / "triplets" / "index.jsonl").is_file()


def test_a_dry_run_tells_what_it_would_take(here: Path, capsys: Capture) -> None:
    many = ("--count", "600000", "--dry-run")
    told = said(capsys, *ALONE, *many)
    assert told["scenes"] == 600_000
    assert told["tried"] == 4
    assert told["seconds"] > 60
    half = said(capsys, *ALONE, *many, "--shard", "1/2")
    assert half["scenes"] == 300_000
    assert half["bytes"] == pytest.approx(told["bytes"] / 2, rel=0.01)
    small = said(capsys, *ALONE, "--dry-run")
    assert list(here.iterdir()) == []
    said(capsys, *ALONE)
    files = (here / "data" / "triplets").glob("scenes/*/*")
    written = sum(path.stat().st_size for path in files)
    assert written < small["bytes"] < written + 2 * 7 * 1024 + 4096
    assert run([*ALONE, *many]) == 0
    assert "judged from" in capsys.readouterr().out


def test_presets_are_outdone_by_options(here: Path, capsys: Capture) -> None:
    small = ("--size", "32", "--procedural", "3", "--threads", "1", "--dry-run")
    assert said(capsys, "gen-data", "--preset", "paper", *small)["scenes"] == 100_000
    told = said(capsys, "gen-data", "--preset", "seed-frames", *small, "--scene", "objects=1,2")
    assert (told["scenes"], told["kind"], told["output"]) == (20_000, "frames", "data/frames")
    told = said(capsys, "gen-data", "--preset", "seed-triplets", *small, "--kind", "frames")
    assert (told["scenes"], told["kind"]) == (50_000, "frames")
    recipe = ("gen-data", "--preset", "paper", "--count", "9", "--scene", "factors=2,3")
    said(capsys, *recipe, "--procedural", "3", "--size", "32", "--format", "recipe")
    plan = json.loads((here / "data" / "triplets" / "dataset.json").read_text())
    assert (plan["count"], plan["scene"]["factors"]) == (9, [2, 3])
    assert plan["scene"]["objects"] == [7, 15]


def test_what_it_wrote_is_trained_on(here: Path, capsys: Capture) -> None:
    data = ("gen-data", "--count", "2", "--size", "64", "--procedural", "3", "--threads", "1")
    assert run([*data, "--scene", "objects=1,2", "--format", "tar", "--quiet"]) == 0
    train = ("finetune", "--data", "data/triplets", "--steps", "1", "--batch", "1", "--size", "64")
    options = ("stem=8", "width=8", "guide=8", "hidden=8")
    small = [word for option in options for word in ("--opt", option)]
    told = said(capsys, *train, *small, "--workers", "0", "--device", "cpu")
    assert told["steps"] == 1
    assert (here / told["weights"]).is_file()
    assert run([*train, "--procedural", "3", "--quiet"]) == 2
    assert run(["finetune", "--data", "absent", "--quiet"]) == 1
    assert "absent is no data set" in capsys.readouterr().err
