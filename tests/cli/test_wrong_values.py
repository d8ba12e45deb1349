"""Values that flags, files and variables don't take are refused in magkit's own words."""

from pathlib import Path

import pytest

from magkit.cli import run

SEE = "see 'magkit"


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("finetune --threads abc", "option '--threads' must be a whole number, not 'abc'", SEE),
        ("finetune --steps 1.5", "option '--steps' must be a whole number, not '1.5'", SEE),
        ("magnify x -f abc", "option '--factor' must be a number, not 'abc'", SEE),
        ("finetune --threads 0", "option '--threads' must be at least 1, not '0'", SEE),
        ("magnify x --average 1.5", "option '--average' must be a whole number, not '1.5'", SEE),
        ("magnify x --limit far", "option '--limit' must be a number, not 'far'", SEE),
        ("magnify x --order 9", "option '--order' must be at most 8, not '9'", SEE),
        (
            "evaluate magnifier --noise -0.5",
            "option '--noise' must be at least 0, not '-0.5'",
            "see 'magkit evaluate magnifier --help'",
        ),
        (
            "plugins new x --kind methd",
            "option '--kind': 'methd' is none of method, target, magnifier",
            "did you mean 'method'?",
        ),
        (
            "plugins new x --kind q",
            "option '--kind': 'q' is none of method, target, magnifier",
            "see 'magkit plugins new --help'",
        ),
        (
            "completion bsh",
            "argument 'SHELL': 'bsh' is none of bash, zsh, fish, powershell",
            "did you mean 'bash'?",
        ),
        (
            "completion",
            "missing argument 'SHELL'. Choose from: bash, zsh, fish, powershell",
            "see 'magkit completion --help'",
        ),
    ],
)
def test_refusals(
    here: Path, capsys: pytest.CaptureFixture[str], line: str, message: str, hint: str
) -> None:
    assert run(line.split()) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == f"magkit: {message}"
    assert second.startswith(f"  hint: {hint}")
    assert not list(here.iterdir())


def test_what_a_variable_or_a_file_says(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "settings.toml").write_text("quality = 'low'")
    assert run(["magnify", "x", "--config", "settings.toml"]) == 2
    shown = capsys.readouterr().err
    assert "option '--quality' must be a whole number, not 'low'" in shown
    assert "--config file" in shown
    monkeypatch.setenv("MAGKIT_OVERWRITE", "maybe")
    assert run(["magnify", "x"]) == 2
    shown = capsys.readouterr().err
    assert "option '--overwrite' must be true or false, not 'maybe'" in shown
    assert "MAGKIT_OVERWRITE" in shown


def test_a_value_can_not_speak_to_the_terminal(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["magnify", "x", "--order", "\x1b[2J"]) == 2
    assert "not '\\x1b[2J'" in capsys.readouterr().err
