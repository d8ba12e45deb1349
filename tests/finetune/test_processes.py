"""Two processes train like one on the same batches, up to rounding."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from magkit.errors import UsageError
from magkit.runtime import distributed
from magkit.training.metrics import read_metrics
from magkit.training.train import check_batch

SCRIPT = Path(__file__).parent / "a_process.py"


def train(python: str, folder: Path, world: int, *runs: str) -> None:
    """Train in folders of these names, one after the other, by `world` processes."""
    started = [
        subprocess.Popen([python, str(SCRIPT), str(folder), str(rank), str(world), *runs])
        for rank in range(world)
    ]
    try:
        assert {process.wait(200) for process in started} == {0}
    finally:
        for process in started:
            process.kill()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, preloaded_python: str) -> Path:
    """The runs of a process alone, and those of two that share its batches."""
    folder = tmp_path_factory.mktemp("processes")
    train(preloaded_python, folder, 1, "magnet_one", "magnet-fast_one")
    stopped = shutil.copytree(folder / "magnet-fast_one", folder / "magnet-fast_continued")
    (stopped / "checkpoint-3.pt").unlink()
    names = ("magnet_two", "magnet-fast_two", "magnet-fast_parts", "magnet-fast_continued")
    train(preloaded_python, folder, 2, *names)
    return folder


def weights(folder: Path, step: int = 3) -> dict[str, Any]:
    saved = torch.load(folder / f"checkpoint-{step}.pt", weights_only=True)
    return {part: saved[part] for part in ("model", "average")}


@pytest.mark.parametrize("name", ["magnet_two", "magnet-fast_two", "magnet-fast_parts"])
def test_two_processes_equal_one(place: Path, name: str) -> None:
    alone, shared = place / f"{name.partition('_')[0]}_one", place / name
    torch.testing.assert_close(weights(shared), weights(alone), rtol=1e-9, atol=1e-12)
    moved = [
        not torch.equal(value, weights(alone, 2)["model"][key])
        for key, value in weights(alone)["model"].items()
    ]
    assert sum(moved) > 0.9 * len(moved)
    for ours, theirs in zip(*map(read_metrics, log_files(alone, shared)), strict=True):
        assert theirs == pytest.approx(ours, rel=1e-9)


def test_two_go_on_with_what_one_has_begun(place: Path) -> None:
    alone, continued = place / "magnet-fast_one", place / "magnet-fast_continued"
    torch.testing.assert_close(weights(continued), weights(alone), rtol=1e-9, atol=1e-12)
    one, other = (path.read_text().splitlines() for path in log_files(alone, continued))
    assert one[:2] == other[:2], "the steps of the one are not done again"
    assert len(other) == 3


def log_files(*folders: Path) -> list[Path]:
    return [folder / "metrics.jsonl" for folder in folders]


def test_processes_that_cannot_share_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    check_batch(12, 3, "scenes")
    for batch in (8, 9, 4):
        with pytest.raises(
            UsageError, match=f"batch of {batch} scenes .* 2 processes in 3"
        ) as told:
            check_batch(batch, 3, "scenes")
        assert told.value.hint == "--batch must be a multiple of 6"
