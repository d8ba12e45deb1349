"""What comes out of `magkit` when something goes wrong: a sentence, a code, no traceback."""

import errno
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import magkit.cli.app
from magkit.cli import run
from magkit.cli.command import add, group
from magkit.cli.output import Output
from magkit.errors import MagkitError, UsageError

Magkit = Callable[..., "CompletedProcess[str]"]

FAILURES: list[tuple[BaseException, int, str]] = [
    (MagkitError("'x.mp4' is not a video"), 1, "magkit: 'x.mp4' is not a video\n"),
    (UsageError("no", "look"), 2, "magkit: no\n  hint: look\n"),
    (KeyboardInterrupt(), 130, "magkit: interrupted\n"),
    (
        OSError(errno.ENOSPC, "No space left on device", "out.mp4"),
        1,
        "magkit: no space is left to write 'out.mp4'\n  hint: free some, or choose another",
    ),
    (PermissionError(errno.EACCES, "Permission denied", "/x"), 1, "no permission to use '/x'"),
    (
        FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"),
        1,
        "can't use '/x': no such",
    ),
    (MemoryError(), 1, "magkit: out of memory\n"),
    (ZeroDivisionError("by\nzero"), 1, "an error of its own: ZeroDivisionError: by zero\n"),
]


def failing_app(monkeypatch: pytest.MonkeyPatch, failure: BaseException) -> None:
    app = group("Fails.")
    app.callback()(lambda: None)

    def fail(out: Output) -> None:
        """Fail."""
        raise failure

    add(app, fail)
    monkeypatch.setattr(magkit.cli.app, "app", app)


@pytest.mark.parametrize(("failure", "code", "words"), FAILURES, ids=lambda x: type(x).__name__)
def test_failures_become_a_sentence_and_a_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failure: BaseException,
    code: int,
    words: str,
) -> None:
    failing_app(monkeypatch, failure)
    assert run(["fail"]) == code
    shown = capsys.readouterr()
    assert words in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("how", ["--verbose", "MAGKIT_VERBOSE", "MAGKIT_DEBUG"])
def test_the_traceback_of_the_unexpected_can_be_had(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    failing_app(monkeypatch, ZeroDivisionError("by zero"))
    if how.startswith("MAGKIT"):
        monkeypatch.setenv(how, "1")
    assert run(["fail", *([how] if how.startswith("--") else [])]) == 1
    assert capsys.readouterr().err.count("Traceback (most recent call last)") == 1


def test_verbose_shows_no_traceback_of_what_is_the_users(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing_app(monkeypatch, MagkitError("no"))
    assert run(["fail", "--verbose"]) == 1
    assert capsys.readouterr().err == "magkit: no\n"


def test_commands_that_do_not_exist(magkit: Magkit) -> None:
    done = magkit("plugns")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "no such command 'plugns'. Did you mean 'plugins', 'plan'?" in done.stderr
    assert "hint: see 'magkit --help'" in done.stderr


def test_options_that_do_not_exist(magkit: Magkit) -> None:
    done = magkit("plugins", "--jsno")
    assert done.returncode == 2
    assert "--jsno" in done.stderr
    assert "hint: see 'magkit plugins --help'" in done.stderr


def test_version_and_help(magkit: Magkit) -> None:
    version = magkit("--version")
    assert version.returncode == 0
    assert version.stdout.startswith(f"magkit {magkit_version()} (Python ")
    for arguments in ([], ["--help"]):
        shown = magkit(*arguments)
        assert shown.returncode == 0
        assert "plugins" in shown.stdout


def magkit_version() -> str:
    from magkit.version import __version__

    return __version__


SLEEPER = """
import sys, time
from pathlib import Path
import magkit.cli.app
from magkit.cli import main
from magkit.cli.command import add, group
from magkit.cli.output import Output
from magkit.runtime.files import atomic_path

app = group("Sleeps.")
app.callback()(lambda: None)

def sleep(out: Output) -> None:
    "Sleep."
    with atomic_path(Path("result.txt")) as path:
        path.write_text("half")
        print("ready", file=sys.stderr, flush=True)
        time.sleep(60)

add(app, sleep)
magkit.cli.app.app = app
sys.argv = ["magkit", "sleep"]
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows can't send these to one process")
@pytest.mark.parametrize(("sent", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_signals_end_it_and_leave_nothing_half_written(
    tmp_path: Path, sent: str, code: int
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(getattr(signal, sent))
    assert process.wait(timeout=20) == code
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert not list(tmp_path.iterdir())


def test_a_pipe_that_closes_early_is_no_error_worth_a_word(tmp_path: Path) -> None:
    done = subprocess.run(
        f'"{sys.executable}" -m magkit plugins --json | "{sys.executable}" -c ""',
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert "Traceback" not in done.stderr
