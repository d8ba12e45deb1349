"""The benchmark of starting up measures children, not itself, and knows its bars."""

import os
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "wait4"), reason="POSIX alone tells a child's time")


@pytest.fixture(scope="module")
def startup() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "startup.py"))


def test_a_child_that_works_takes_longer(startup: dict[str, Any]) -> None:
    def took(code: str) -> float:
        return float(startup["processor_time"]((sys.executable, "-c", code), os.environ))

    work = "import time\nwhile time.process_time() < {}: pass"
    assert took(work.format(0.5)) >= 0.5
    assert took("import time; time.sleep(0.5)") < 0.5


def test_a_child_that_fails_counts_for_nothing(startup: dict[str, Any]) -> None:
    with pytest.raises(SystemExit, match="failed"):
        startup["processor_time"]((sys.executable, "-c", "raise SystemExit(3)"), os.environ)


def test_bars(startup: dict[str, Any]) -> None:
    bars = startup["bars"]({"import typer, rich": 100.0, "--help": 190.0})
    assert bars == {"--help": 250.0, "TAB": 100.0}
