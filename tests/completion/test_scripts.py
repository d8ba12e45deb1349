"""The scripts: those in the project are what is made today, and odd texts harm none."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from magkit.cli import run
from magkit.cli.command_tree import command_tree
from magkit.completion.scripts import FILES, SCRIPTS
from magkit.completion.tree import Argument, Command, Option, Values

ROOT = Path(__file__).parents[2]
MARKS = "'\u2018\u2019\u201a\u201b"
ODD = 'it\'s \u2018 [a] "b" $(touch pwned) `touch pwned` \\ : {c} %d; *'
CHECKS = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}


def odd_tree() -> Command:
    """Commands, options and arguments of every sort, in words that mean something to shells."""
    values = Values(("plain", "two words", "$(touch pwned)"), ("kind", "an 'argument'"), "files")
    options = (
        Option(("--flag", "-f"), ODD),
        Option(("--many",), ODD, values, repeats=True),
        Option(("--number",), ODD, Values()),
        Option(("--folder",), ODD, Values(paths="folders")),
    )
    leaf = Command(
        ("group", "leaf-one"),
        ODD,
        options,
        (Argument("ONE", values), Argument("MORE", values, True)),
    )
    group = Command(("group",), ODD, options, commands=(leaf,))
    return Command((), ODD, options, commands=(group, Command(("alone",), ODD)))


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_files_are_what_is_made(shell: str) -> None:
    path = ROOT / "completions" / FILES[shell]
    made = SCRIPTS[shell](command_tree())
    assert path.read_text(encoding="utf-8") == made, f"magkit completion {shell} > {path}"


def test_there_are_no_other_files() -> None:
    folder = ROOT / "completions"
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == set(FILES.values())


@pytest.mark.parametrize("shell", SCRIPTS)
def test_the_command_prints_it(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = SCRIPTS[shell](command_tree())
    assert run(["completion", shell]) == 0
    assert capsys.readouterr().out == made
    assert run(["completion", shell, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"shell": shell, "script": made}


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
    assert place.read_text(encoding="utf-8") == SCRIPTS["bash"](command_tree())
    assert run(["completion", "bash", "-o", str(place)]) == 1
    assert run(["completion", "fish", "-o", str(place), "--overwrite", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"shell": "fish", "output": str(place)}
    assert f"wrote {place}" in shown.err


def test_the_wheel_installs_what_shells_find() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    built = tomllib.loads(text)["tool"]["hatch"]["build"]["targets"]
    shared = {path for path in built["wheel"]["shared-data"] if path.startswith("completions/")}
    assert shared == {f"completions/{FILES[shell]}" for shell in ("bash", "zsh", "fish")}
    assert all((ROOT / path).is_file() for path in shared)
    assert "/completions" in built["sdist"]["include"]


@pytest.mark.parametrize("shell", SCRIPTS)
def test_every_command_and_option_is_in_it(shell: str) -> None:
    script = SCRIPTS[shell](command_tree())
    for command in command_tree().walk():
        assert command.name in script
        for option in command.options:
            for flag in option.flags:
                bare = flag.lstrip("-") if shell == "fish" else flag
                assert re.search(rf"(?<![\w-]){re.escape(bare)}(?![\w-])", script), flag


@pytest.mark.parametrize("shell", CHECKS)
def test_odd_texts_leave_it_sound(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    file = tmp_path / "script"
    file.write_text(SCRIPTS[shell](odd_tree()), encoding="utf-8")
    done = subprocess.run([*CHECKS[shell], str(file)], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_reading_it_runs_nothing(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    (tmp_path / "script").write_text(SCRIPTS[shell](odd_tree()), encoding="utf-8")
    subprocess.run([shell, "-c", "source ./script"], cwd=tmp_path, check=True)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("tree", [command_tree(), odd_tree()], ids=["real", "odd"])
def test_powershell_is_quoted_and_balanced(tree: Command) -> None:
    script = SCRIPTS["powershell"](tree)
    tables = script[script.index("$nodes = @{") : script.index("$words = @(")]
    # Within single quotes only two of them mean something: one. There are five sorts of them.
    bare = re.sub(rf"'(?:[^{MARKS}]|[{MARKS}]{{2}})*'", "''", re.sub(r"(?m)^\s*#.*$", "", tables))
    assert re.fullmatch(r"[\w\s=;,@(){}'$]*", bare), re.sub(r"[\w\s=;,@(){}'$]", "", bare)
    for left, right in ("()", "{}"):
        assert bare.count(left) == bare.count(right)
        assert script.count(left) == script.count(right) or tree is not command_tree()
    # A table's keys differ by more than the case of letters.
    for table in (tables.partition("$values")[0], tables.partition("$values")[2]):
        keys = [key.lower() for key in re.findall(r"(?m)^ {8}'((?:[^']|'')*)' = ", table)]
        assert len(keys) == len(set(keys)) > 0


@pytest.mark.parametrize("mark", MARKS)
def test_no_quote_ends_a_text_in_powershell(mark: str) -> None:
    text = f"one{mark}; Remove-Item *; {mark}{mark}two"
    made = SCRIPTS["powershell"](Command((), "", (Option(("--flag",), text),)))
    assert f"Help = '{text.replace(mark, mark * 2)}' }}" in made


def test_the_powershell_script_is_read_alike_in_any_encoding() -> None:
    assert SCRIPTS["powershell"](command_tree()).isascii()
