"""The command reference and the man page say what the commands say of themselves."""

import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from magkit.cli import run
from magkit.cli.app import app

ROOT = Path(__file__).parents[2]
TOOL = runpy.run_path(str(ROOT / "tools" / "command_reference.py"))
REFERENCE = TOOL["read"](app)
COMMANDS = {command.path: command for command in REFERENCE.commands}
FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z0-9-]*")


@pytest.mark.parametrize("name", ["docs/commands.md", "man/magkit.1"])
def test_the_files_are_what_the_generator_makes(name: str) -> None:
    there = (ROOT / name).read_text(encoding="utf-8")
    assert there == TOOL["texts"]()[name], "run 'python tools/command_reference.py'"


def test_neither_terminal_nor_environment_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    before = TOOL["texts"]()
    for name, value in {"COLUMNS": "40", "TERM": "dumb", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MAGKIT_FACTOR", "3")
    assert TOOL["texts"]() == before


@pytest.mark.parametrize("path", COMMANDS)
def test_it_has_every_option_of_help(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*path.split()[1:], "--help"]) == 0
    entries = re.findall(r"^ +(-.+?)(?: {2,}|$)", capsys.readouterr().out, re.MULTILINE)
    shown = {flag for entry in entries for flag in FLAG.findall(entry)}
    options = [*COMMANDS[path].options, *REFERENCE.shared]
    assert {flag for option in COMMANDS[path].options for flag in option.names} <= shown
    assert shown <= {flag for option in options for flag in option.names}
    assert "--help" in shown


def test_what_an_option_says() -> None:
    found = {option.names: option for option in COMMANDS["magkit magnify"].options}
    assert found["--mode",].value == "static|dynamic|follow"
    assert found["--audio",].text.endswith("Default: all.")
    assert found["--order",].text.endswith("From 1 to 8. Default: 2.")
    assert found["--overwrite",].value == ""
    assert COMMANDS["magkit magnify"].usage == "[OPTIONS] INPUT..."


def source(text: str) -> str:
    """The page of a command that says this of itself."""
    option = TOOL["Parameter"](("-x",), "X", text)
    command = TOOL["Command"]("magkit", text, (text,), (), (option,), "")
    return str(TOOL["page"](TOOL["Reference"]((command,), (), ())))


def man_db() -> bool:
    """Whether `man` is the one of Linux: others know no --warnings, and small images fake it."""
    if shutil.which("man") is None:
        return False
    said = subprocess.run(["man", "--version"], capture_output=True, text=True, check=False)
    return re.match(r"man \d", said.stdout) is not None


@pytest.mark.skipif(not man_db(), reason="no man-db here")
def test_the_page_has_no_fault(tmp_path: Path) -> None:
    lines = shown(ROOT / "man" / "magkit.1").splitlines()
    assert lines[0].startswith("MAGKIT(1)")
    assert "       --mode static|dynamic|follow" in lines
    odd = ".so /etc/passwd and 'x' \\fB `--flag` \\n(.z"
    path = tmp_path / "odd.1"
    path.write_text(source(odd), encoding="utf-8")
    assert ".so /etc/passwd and 'x' \\fB --flag \\n(.z" in shown(path)


def shown(path: Path) -> str:
    """The text of a page as a terminal of 200 columns shows it; what it warns of fails."""
    settings = {"MANWIDTH": "200", "LC_ALL": "C.UTF-8", "MANOPT": "--nh --nj", "PAGER": "cat"}
    done = subprocess.run(
        ["man", "--warnings", "-l", str(path)],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return re.sub(r".\x08", "", done.stdout)
