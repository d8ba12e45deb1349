"""What the library logs is shown by severity, on standard error, in the command line's own look."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import magkit.cli.app
from magkit.cli import run
from magkit.cli.command import add, group
from magkit.cli.output import Output, log_printed
from magkit.runtime.pool import map_unordered

Captured = pytest.CaptureFixture[str]

logger = logging.getLogger("magkit.some.module")
foreign = logging.getLogger("somebody.else")


def speak(out: Output) -> None:
    """Log at every level."""
    logger.debug("a %s", "detail")
    logger.info("a note about [x]")
    logger.warning("an odd %d", 1)
    foreign.info("a foreign note")
    foreign.warning("a foreign oddity")
    out.finish({"done": True})


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Output], None]], None]:
    """Makes a function the only command."""

    def become(function: Callable[[Output], None]) -> None:
        app = group("Speaks.")
        app.callback()(lambda: None)
        add(app, function)
        monkeypatch.setattr(magkit.cli.app, "app", app)

    return become


WARNED = "warning: an odd 1\n"
FOREIGN = "warning: a foreign oddity\n"


@pytest.mark.parametrize(
    ("flag", "shown"),
    [
        ("--quiet", WARNED + FOREIGN),
        ("--json", f"a note about [x]\n{WARNED}{FOREIGN}"),
        ("--verbose", f"a detail\na note about [x]\n{WARNED}{FOREIGN}"),
    ],
)
def test_severity_decides(
    command: Callable[..., None], capsys: Captured, flag: str, shown: str
) -> None:
    command(speak)
    assert run(["speak", flag]) == 0
    found = capsys.readouterr()
    assert found.err == shown
    assert json.loads(found.out or '{"done": true}') == {"done": True}


def test_nothing_of_it_stays(capsys: Captured) -> None:
    own, root = logging.getLogger("magkit"), logging.getLogger()
    before = own.level, list(root.handlers)
    with pytest.raises(KeyboardInterrupt), log_printed(Output(verbose=True)):
        raise KeyboardInterrupt
    assert (own.level, root.handlers) == before


def test_an_equal_warning_is_shown_once(capsys: Captured) -> None:
    with log_printed(Output()):
        for number in (1, 1, 2):
            logger.warning("picture %d is broken", number)
    shown = [f"warning: picture {number} is broken\n" for number in (1, 2)]
    assert capsys.readouterr().err == "".join(shown)


def test_where_another_process_speaks_nothing_is_said(capsys: Captured) -> None:
    out = Output()
    out.mute()
    with log_printed(out):
        logger.info("note")
        logger.warning("odd")
    out.finish({})
    assert capsys.readouterr().err == ""


WARNING_COMMAND = """
import logging, sys, warnings
import magkit.cli.app
from magkit.cli import run
from magkit.cli.command import add, group

def warn(out):
    warnings.warn("an old format")
    logging.basicConfig()  # as some libraries do where they are imported
    logging.getLogger("magkit.x").warning("odd")
    out.finish({"done": True})

magkit.cli.app.app = group("Warns.")
magkit.cli.app.app.callback()(lambda: None)
add(magkit.cli.app.app, warn)
sys.exit(run(["warn", "--json"]))
"""


def test_libraries_that_warn_leave_standard_output_alone() -> None:
    command = [sys.executable, "-c", WARNING_COMMAND]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"done": True}
    assert "UserWarning: an old format" in done.stderr
    assert done.stderr.count("odd") == 1


def test_a_bar_goes_on_below_what_is_logged(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "120"}.items():
        monkeypatch.setenv(name, value)
    out = Output()
    with log_printed(out), out.progress("magnifying") as progress:
        progress(1, 2)
        logger.warning("odd")
        progress(2, 2)
    lines = capsys.readouterr().err.splitlines()
    (warned,) = [number for number, line in enumerate(lines) if "warning: odd" in line]
    assert "magnifying" not in lines[warned].partition("warning: odd")[2]
    assert any("2/2" in line for line in lines[warned + 1 :])


def complain(number: int) -> int:
    logger.info("item %d is begun", number)
    logger.warning("a broken file")
    return number


def test_workers_speak_through_the_process_that_started_them(capfd: Captured) -> None:
    with log_printed(Output()):
        assert sorted(map_unordered(complain, range(4), 2)) == [0, 1, 2, 3]
    lines = sorted(capfd.readouterr().err.splitlines())
    assert lines == [*(f"item {n} is begun" for n in range(4)), "warning: a broken file"]


def test_a_broken_checkpoint_is_warned_of_though_quiet(
    capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = ["finetune", "--quiet", "--workers", "0", "--procedural", "4", "-o", "run"]
    tiny += ["--steps", "2", "--batch", "1", "--size", "32", "--device", "cpu"]
    tiny += [f"--opt={key}=8" for key in ("stem", "width", "guide", "hidden")]
    assert run([*tiny, "--train", "save_every=1"]) == 0
    (tmp_path / "run" / "model.safetensors").unlink()
    (tmp_path / "run" / "checkpoint-2.pt").write_bytes(b"cut")
    capsys.readouterr()
    assert run([*tiny, "--train", "save_every=1"]) == 0
    assert "warning: run/checkpoint-2.pt can't be read" in capsys.readouterr().err
