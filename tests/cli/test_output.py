"""Standard output carries results, standard error everything else."""

import json
import time
from pathlib import Path

import pytest

from magkit.cli.output import Output

Captured = pytest.CaptureFixture[str]


def test_json_is_one_object_and_libraries_cannot_spoil_it(capsys: Captured) -> None:
    out = Output(json=True)
    with out.captured():
        print("loading annotations into memory...")
        out.note("working")
        out.show("a table")
        out.finish(
            {"path": Path("a b"), "gain": float("nan"), "list": (1, True, None), "x": {"é": 0.5}},
            wrote=[Path("a b")],
            then="look",
        )
    shown = capsys.readouterr()
    expected = {"path": "a b", "gain": None, "list": [1, True, None], "x": {"é": 0.5}}
    assert json.loads(shown.out) == expected
    assert shown.out.count("\n") == 1
    assert shown.err == "loading annotations into memory...\nworking\n"


def test_what_was_written_and_what_to_do_next(capsys: Captured) -> None:
    out = Output()
    out.show("gain 0.98 [x]")
    out.finish({}, wrote=[Path("out [1].mp4"), Path("x" * 200)], then="magkit stitch out")
    shown = capsys.readouterr()
    assert shown.out == "gain 0.98 [x]\n"
    assert shown.err == f"wrote out [1].mp4\nwrote {'x' * 200}\nnext: magkit stitch out\n"


def test_quiet_leaves_results_and_warnings(capsys: Captured) -> None:
    out = Output(quiet=True)
    out.note("working")
    out.detail("details")
    out.warn("odd")
    out.show("result")
    with out.progress("magnifying") as progress:
        progress(1, 2)
    out.finish({}, wrote=[Path("x")], then="look")
    assert capsys.readouterr() == ("result\n", "warning: odd\n")


def test_verbose_says_more(capsys: Captured) -> None:
    Output().detail("details")
    assert capsys.readouterr().err == ""
    Output(verbose=True).detail("details")
    assert capsys.readouterr().err == "details\n"


def test_progress_in_a_log_is_a_line_now_and_then(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 1.0, 12.0, 13.0, 30.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with Output().progress("training", "steps") as progress:
        for done, total in ((1, 100), (12, 100), (13, 100), (30, None)):
            progress(done, total)
    assert capsys.readouterr().err == (
        "training: 12 of 100 steps, 0:01:28 left\ntraining: 30 steps\n"
    )


@pytest.mark.parametrize(
    ("done", "total", "shown"),
    [
        (20, 10, "20 frames"),
        (0, 10, "0 of 10 frames"),
        (3, 10, "3 of 10 frames"),
        (20, 10**30, f"20 of {10**30} frames"),
        (20, 0, "20 frames"),
        (20, 20, "20 of 20 frames, 0:00:00 left"),
    ],
)
def test_a_wrong_total_foretells_nothing(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, done: int, total: int, shown: str
) -> None:
    clock = iter([0.0, 1.0, 12.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with Output().progress("reading") as progress:
        progress(5, 10)
        progress(done, total)
    assert capsys.readouterr().err == f"reading: {shown}\n"


def test_a_bar_takes_no_total_that_was_exceeded(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "120"}.items():
        monkeypatch.setenv(name, value)
    with Output().progress("reading") as progress:
        progress(12, 10)
    shown = capsys.readouterr().err
    assert "12/?" in shown
    assert "12/10" not in shown


def test_progress_on_a_terminal_is_a_bar(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with Output().progress("magnifying [a]") as progress:
        progress(50, 50)
    shown = capsys.readouterr()
    assert "magnifying [a]" in shown.err
    assert "50/50" in shown.err
    assert shown.out == ""
