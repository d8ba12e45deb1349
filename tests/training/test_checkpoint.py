"""Stopped anywhere and continued equals never stopped; a broken checkpoint loses nothing."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from magkit.errors import MagkitError
from magkit.training.checkpoint import checkpoints, restore, save_checkpoint
from magkit.training.config import TrainConfig
from magkit.training.loop import TrainState
from magkit.training.metrics import read_metrics
from magkit.training.run import Run, open_run
from magkit.training.train import train
from magkit.video.tiles import save_png

CONFIG = TrainConfig(steps=12, lr=0.01, warmup=3, final_lr_ratio=0.1, save_every=4, sample_every=6)


class Stop(BaseException):
    """What a signal does to a training: it ends between any two lines."""


class Task:
    """Noise to noise, through dropout and a running mean, which are part of the state."""

    def __init__(self, stop: int = -1, poison: range = range(0)) -> None:
        self.stop, self.poison = stop, poison
        self.steps: list[tuple[str, int]] = []

    def batches(self, start: int) -> Iterator[list[torch.Tensor]]:
        for step in range(start, CONFIG.steps):
            if step == self.stop:
                raise Stop
            value = np.random.default_rng(step).normal(size=(8, 4)).astype(np.float32)
            yield [torch.from_numpy(value) * (float("nan") if step in self.poison else 1)]

    def losses(self, model: nn.Module, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"square": (model(batch) - batch).square().mean()}

    def before_step(self, model: nn.Module, step: int) -> None:
        self.steps.append(("before", step))

    def after_step(self, model: nn.Module, step: int) -> None:
        self.steps.append(("after", step))

    def evaluate(self, run: Run, model: nn.Module, step: int) -> dict[str, float]:
        shown: torch.Tensor = model(torch.ones(2, 4))[:1]
        save_png(run.samples / f"step-{step:06d}.png", shown.expand(3, 5, 4))
        return {"seen": float(shown.sum())}


def start() -> TrainState:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 4))
    return TrainState.start(model, CONFIG)


def run_in(folder: Path) -> Run:
    return open_run("test", {}, made_with={}, output=folder)


def resumed(folder: Path, task: Task) -> TrainState:
    state = start()
    restore(folder, state)
    train(run_in(folder), state, CONFIG, task)
    return state


def equal(one: TrainState, other: TrainState) -> bool:
    pairs = [(one.model, other.model), (one.average, other.average)]
    return one.step == other.step and all(
        torch.equal(a[key], b[key])
        for a, b in ((x.state_dict(), y.state_dict()) for x, y in pairs)
        for key in a
    )


@pytest.mark.parametrize("stops", [[0], [3], [4], [11], [2, 5, 5, 9]], ids=str)
def test_stopped_anywhere_equals_never_stopped(tmp_path: Path, stops: list[int]) -> None:
    whole = resumed(tmp_path / "whole", Task())
    for stop in stops:
        torch.manual_seed(stop)  # what the process drew before makes no difference
        with pytest.raises(Stop):
            resumed(tmp_path / "stopped", Task(stop))
    assert equal(resumed(tmp_path / "stopped", Task()), whole)
    left, right = ((tmp_path / n / "metrics.jsonl").read_bytes() for n in ("whole", "stopped"))
    assert left == right
    for name in ("step-000006.png", "step-000012.png"):
        paths = [tmp_path / run / "samples" / name for run in ("whole", "stopped")]
        pair = [np.asarray(Image.open(path)) for path in paths]
        assert np.array_equal(pair[0], pair[1])
        assert pair[0].shape == (5, 4, 3)


def test_networks_are_prepared_before_each_step_and_followed_after(tmp_path: Path) -> None:
    task = Task()
    resumed(tmp_path, task)
    assert task.steps == [(when, n) for n in range(12) for when in ("before", "after")]
    seen = [line["step"] for line in read_metrics(tmp_path / "metrics.jsonl") if "seen" in line]
    assert seen == [6, 12]


def test_without_an_average_the_weights_are_saved_once(tmp_path: Path) -> None:
    config = replace(CONFIG, ema=0.0)
    state = TrainState.start(start().model, config)
    assert state.average is state.model
    train(run_in(tmp_path), state, config, Task())
    again = TrainState.start(start().model, config)
    restore(tmp_path, again)
    assert equal(again, state)
    saved = torch.load(tmp_path / "checkpoint-12.pt", weights_only=True)
    assert saved["average"] is None


def test_tensorboard_is_shown_the_same(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(run_in(tmp_path), start(), CONFIG, Task(), tensorboard=True)
    shown = events.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    written = [line["loss"] for line in read_metrics(tmp_path / "metrics.jsonl")]
    assert [event.value for event in shown.Scalars("loss")] == pytest.approx(written)
    assert [event.step for event in shown.Scalars("seen")] == [6, 12]


def test_without_tensorboard_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MagkitError, match="not installed"):
        train(run_in(tmp_path), start(), CONFIG, Task(), tensorboard=True)


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    resumed(tmp_path, Task())
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-12.pt", "checkpoint-8.pt"]


@pytest.mark.parametrize("damage", ["half", "empty", "text", "flipped"])
def test_a_broken_checkpoint_falls_back_to_the_one_before(tmp_path: Path, damage: str) -> None:
    whole = resumed(tmp_path / "whole", Task())
    folder = tmp_path / "broken"
    with pytest.raises(Stop):
        resumed(folder, Task(10))
    newest = folder / "checkpoint-8.pt"
    content = newest.read_bytes()
    weights = torch.load(newest, weights_only=True)["model"]["0.weight"].numpy().tobytes()
    flipped = content.replace(weights, bytes(len(weights)))
    assert flipped != content
    broken = {"half": content[: len(content) // 2], "empty": b"", "text": b"no"}
    broken["flipped"] = flipped
    newest.write_bytes(broken[damage])
    state = start()
    assert restore(folder, state) == [newest]
    assert state.step == 4
    train(run_in(folder), state, CONFIG, Task())
    assert equal(state, whole)


def test_equal_states_give_equal_bytes(tmp_path: Path) -> None:
    one, other = (save_checkpoint(tmp_path / name, start()) for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_when_no_checkpoint_can_be_read_it_says_so_and_nothing_is_lost(tmp_path: Path) -> None:
    for step in (4, 8):
        (tmp_path / f"checkpoint-{step}.pt").write_bytes(b"cut")
    with pytest.raises(MagkitError, match=r"checkpoint-8\.pt, checkpoint-4\.pt"):
        restore(tmp_path, start())
    assert len(checkpoints(tmp_path)) == 2


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, TrainState.start(nn.Linear(2, 2), CONFIG))
    with pytest.raises(MagkitError, match="of another network"):
        restore(tmp_path, start())


@pytest.mark.parametrize("key", ["model", "average", "optimizer", "step", "skipped"])
@pytest.mark.parametrize("value", [None, [], "text", {"state": 3}, float("inf")])
def test_a_checkpoint_that_nobody_wrote(tmp_path: Path, key: str, value: object) -> None:
    path = save_checkpoint(tmp_path, start())
    torch.save({**torch.load(path, weights_only=True), key: value}, path)
    with pytest.raises(MagkitError, match="of another network"):
        restore(tmp_path, start())


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "touched",))  # type: ignore[return-value]

    torch.save({"model": Evil()}, tmp_path / "checkpoint-4.pt")
    with pytest.raises(MagkitError, match="can be read"):
        restore(tmp_path, start())
    assert not (tmp_path / "touched").exists()


def test_a_full_disk_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = start()
    save_checkpoint(tmp_path, state)

    def full(_: object, file: BinaryIO) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    state.step = 4
    with pytest.raises(MagkitError, match="disk is full"):
        save_checkpoint(tmp_path, state)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-0.pt"]


def test_skipped_steps_are_measured_and_part_of_the_state(tmp_path: Path) -> None:
    task = Task(poison=range(3, 8))
    whole = resumed(tmp_path / "whole", task)
    with pytest.raises(Stop):
        resumed(tmp_path / "stopped", Task(6, range(3, 8)))
    assert equal(resumed(tmp_path / "stopped", task), whole)
    lines = read_metrics(tmp_path / "whole" / "metrics.jsonl")
    assert [line["step"] for line in lines if line["gradient"] is None] == [4, 5, 6, 7, 8]


def test_progress_begins_where_the_run_stands(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        resumed(tmp_path, Task(10))
    told: list[tuple[int, int | None]] = []
    state = start()
    restore(tmp_path, state)
    train(run_in(tmp_path), state, CONFIG, Task(), lambda done, of: told.append((done, of)))
    assert told == [(step, 12) for step in range(8, 13)]
