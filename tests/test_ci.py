""".ci/run tells what it goes on without."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "run"
REACHED = 7
TOOLS = {
    "id": "echo 0",
    "timeout": 'shift; exec "$@"',
    "python3": f"exit {REACHED}",  # what follows is not what is tested
}


@pytest.mark.skipif(sys.platform == "win32" or not shutil.which("bash"), reason="it needs bash")
@pytest.mark.parametrize("apt", [0, 100])
def test_shells_that_can_not_be_installed(tmp_path: Path, apt: int) -> None:
    for name, code in {**TOOLS, "apt-get": f"echo loud; echo louder >&2; exit {apt}"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{code}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(SCRIPT)],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (REACHED, "")
    said = done.stderr.splitlines()
    assert len(said) == bool(apt)
    assert all("install shells" in line and "will skip" in line for line in said)
