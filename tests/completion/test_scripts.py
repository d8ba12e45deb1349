"""The scripts: `magkit completion` prints the installed files, and they hold no commands."""

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from magkit.cli import run
from magkit.cli.completion import SCRIPTS, read_script

ROOT = Path(__file__).parents[2]
FOLDER = "magkit/completion/scripts"
CHECKS = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}


def test_there_are_no_other_files() -> None:
    assert {path.name for path in (ROOT / FOLDER).iterdir()} == set(SCRIPTS.values())


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_command_prints_the_file(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / FOLDER / SCRIPTS[shell]).read_text(encoding="utf-8")
    assert run(["completion", shell]) == 0
    assert capsys.readouterr().out == text
    assert run(["completion", shell, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"shell": shell, "script": text}


def test_another_shell_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", "tcsh"]) == 2
    assert "'tcsh' is none of bash, zsh, fish, powershell" in capsys.readouterr().err


def test_help_says_where_it_belongs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", "bash", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "bash        ~/.local/share/bash-completion/completions/magkit\n" in shown


def test_it_can_be_put_in_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "not" / "there" / "magkit"
    assert run(["completion", "bash", "-o", str(place)]) == 0
    assert place.read_text(encoding="utf-8") == read_script("bash")
    assert run(["completion", "bash", "-o", str(place)]) == 1
    assert run(["completion", "fish", "-o", str(place), "--overwrite", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"shell": "fish", "output": str(place)}
    assert f"wrote {place}" in shown.err


def test_the_wheel_installs_what_shells_find() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    built = tomllib.loads(text)["tool"]["hatch"]["build"]["targets"]
    shared = {path for path in built["wheel"]["shared-data"] if path.startswith(FOLDER)}
    assert shared == {f"{FOLDER}/{SCRIPTS[shell]}" for shell in ("bash", "zsh", "fish")}
    assert all((ROOT / path).is_file() for path in shared)


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_script_asks_for_everything(shell: str) -> None:
    text = read_script(shell)
    assert "_values" in text
    assert not any(word in text for word in ("pretrain", "--method", "scrl"))


@pytest.mark.parametrize("shell", CHECKS)
def test_a_shell_reads_it_without_a_word(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    file = tmp_path / "script"
    file.write_text(read_script(shell), encoding="utf-8")
    done = subprocess.run([*CHECKS[shell], str(file)], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_powershell_is_balanced() -> None:
    for left, right in ("()", "{}", "[]"):
        assert read_script("powershell").count(left) == read_script("powershell").count(right)


def test_the_powershell_script_is_read_alike_in_any_encoding() -> None:
    assert read_script("powershell").isascii()
