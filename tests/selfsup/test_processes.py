"""Two processes learn what one learns from the same batches, up to rounding."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

SCRIPT = Path(__file__).parent / "a_process.py"


@pytest.fixture(scope="module")
def found(
    tmp_path_factory: pytest.TempPathFactory, preloaded_python: str
) -> dict[str, dict[str, Any]]:
    """What a process alone made, and two that share its batches."""
    folder = tmp_path_factory.mktemp("processes")
    started = [
        subprocess.Popen([preloaded_python, str(SCRIPT), str(folder), str(rank), str(world)])
        for rank, world in ((0, 1), (0, 2), (1, 2))
    ]
    try:
        assert [process.wait(120) for process in started] == [0, 0, 0]
    finally:
        for process in started:
            process.kill()
    return {path.stem: torch.load(path, weights_only=True) for path in folder.glob("*.pt")}


@pytest.mark.parametrize("name", ["moco", "byol", "scrl"])
def test_two_processes_equal_one(found: dict[str, dict[str, Any]], name: str) -> None:
    alone = found["0-of-1"][name]
    assert all(loss > 0 for loss in alone["losses"])
    for part in ("0-of-2", "1-of-2"):
        torch.testing.assert_close(found[part][name], alone, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["moco", "byol", "scrl"])
def test_both_processes_end_with_the_same_bytes(
    found: dict[str, dict[str, Any]], name: str
) -> None:
    first, second = found["0-of-2"][name], found["1-of-2"][name]
    assert all(torch.equal(value, second["state"][key]) for key, value in first["state"].items())
