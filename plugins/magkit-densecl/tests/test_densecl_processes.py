"""Two processes learn what one learns from the same batches, up to rounding."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parent / "densecl_process.py"


@pytest.mark.skipif(sys.platform == "win32", reason="gloo's rendezvous needs another name there")
def test_two_processes_equal_one(tmp_path: Path, preloaded_python: str) -> None:
    started = [
        subprocess.Popen([preloaded_python, str(SCRIPT), str(tmp_path), str(rank), str(world)])
        for rank, world in ((0, 1), (0, 2), (1, 2))
    ]
    try:
        assert [process.wait(300) for process in started] == [0, 0, 0]
    finally:
        for process in started:
            process.kill()
    found = {path.stem: torch.load(path, weights_only=True) for path in tmp_path.glob("*.pt")}
    alone, first, second = (found[name] for name in ("0-of-1", "0-of-2", "1-of-2"))
    assert all(loss > 0 for loss in alone["losses"])
    assert int(alone["method"]["places.place"]) == 18 % 16
    for part in (first, second):
        torch.testing.assert_close(part, alone, rtol=1e-9, atol=1e-12)
    for name, value in first["method"].items():
        assert torch.equal(value, second["method"][name])
