"""Whether somebody looks."""

import sys

import pytest

from magkit.progress import reported, shows_progress


@pytest.mark.parametrize(
    ("terminal", "quiet", "looks"),
    [
        (True, "", True),
        (True, "0", True),
        (True, "1", False),
        (False, "0", False),
    ],
)
def test_who_looks(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, quiet: str, looks: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setenv("MAGKIT_QUIET", quiet)
    assert shows_progress() == looks


def test_a_line_of_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with reported(True, "measuring") as report:
        for number in range(1, 4):
            report(number, 3)
    lines = capsys.readouterr().err.split("\r")
    assert lines[1] == "measuring: 1 of 3 frames"
    assert lines[-1] == "measuring: 3 of 3 frames\n"


def test_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with reported(False, "measuring") as report:
        report(1, None)
    with reported(True, "measuring"):
        pass  # nothing was done
    assert capsys.readouterr().err == ""


def test_a_callback_is_the_progress() -> None:
    seen: list[tuple[int, int | None]] = []
    with reported(lambda *each: seen.append(each), "measuring") as report:
        report(1, None)
    assert seen == [(1, None)]
