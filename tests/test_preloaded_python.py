"""The program that stands in for `python` behaves as `python` does."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the real interpreter runs there")

TOLD = """
import os, sys
print([sys.argv, os.getcwd(), os.environ["GIVEN"], __name__, "torch" in sys.modules, input()])
print("odd", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


def test_arguments_folder_variables_and_files(preloaded_python: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(TOLD)
    for command, name in ((["-c", TOLD], "-c"), (["script.py"], "script.py")):
        done = subprocess.run(
            [preloaded_python, *command, "3"],
            cwd=tmp_path,
            env={"GIVEN": "value"},
            input="typed\n",
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (3, "odd\n")
        said = [[name, "3"], str(tmp_path), "value", "__main__", True, "typed"]
        assert done.stdout == f"{said}\n"


def test_an_exception_is_shown(preloaded_python: str) -> None:
    done = subprocess.run([preloaded_python, "-c", "1 / 0"], capture_output=True, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith(b"\nZeroDivisionError: division by zero\n")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals_reach_the_process(preloaded_python: str, sent: signal.Signals) -> None:
    code = "import time; print('ready', flush=True); time.sleep(60)"
    with subprocess.Popen([preloaded_python, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(sent)
        assert process.stdout.read() == b"", "nobody holds the pipe any longer"
        assert process.wait() == -sent
