"""`magkit gen-data` as it is run."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from magkit.cli import run

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SMALL = ("gen-data", "--count", "2", "--size", "32", "--procedural", "3", "--scene", "objects=1,2")


def test_it_writes_a_folder_with_two_processes(magkit: Run, tmp_path: Path) -> None:
    made = magkit(*SMALL, "--threads", "2", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout) == {
        "output": str(Path("data/triplets")),
        "scenes": 2,
        "resumed": 0,
        "broken": [],
    }
    folder = tmp_path / "cwd" / "data" / "triplets"
    assert len((folder / "index.jsonl").read_text().splitlines()) == 2
    assert (folder / "scenes" / "000001" / "m.png").is_file()


def test_what_exists_and_what_makes_no_sense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "x"
    arguments = [*SMALL, "--threads", "1", "-o", str(folder), "--quiet"]
    assert run(arguments) == 0
    assert capsys.readouterr() == ("", "")
    assert run(arguments) == 1
    assert "exists" in capsys.readouterr().err
    for wrong in (["--scene", "objects=5,1"], ["--scene", "size=9"], ["--scene", "odd=1"]):
        assert run([*arguments, *wrong]) == 2
    assert run([*arguments, "--size", "3"]) == 2
    assert run([*arguments, "--images", str(tmp_path / "absent"), "--overwrite"]) == 1
    assert "absent" in capsys.readouterr().err
    assert run([*arguments, "--kind", "frames", "--overwrite"]) == 0
    assert (folder / "frames" / "000001.png").is_file()
