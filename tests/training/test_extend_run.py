"""A run that had ended goes on when more steps are asked for, and nothing that it made is lost."""

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from magkit.errors import MagkitError
from magkit.runtime.files import file_lock
from magkit.training.checkpoint import extend_run
from magkit.training.config import TrainConfig, learning_rate
from magkit.training.loop import TrainState
from magkit.training.metrics import read_metrics
from magkit.training.run import Run, open_run
from magkit.training.train import TrainingResult, run_training

SHORT = TrainConfig(
    steps=6, lr=0.01, warmup=2, final_lr_ratio=0.0, save_every=4, sample_every=6, seed=3
)
LONG = replace(SHORT, steps=10)


class Stop(BaseException):
    """What a signal does to a training."""


class Task:
    """Batch n is a function of n; networks are told how far the training is."""

    def batches(self, start: int) -> Iterator[Sequence[torch.Tensor]]:
        for step in range(start, 1000):
            yield [torch.randn(8, 4, generator=torch.manual_seed(step))]

    def losses(self, model: nn.Module, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"square": (model(batch) - batch).square().mean()}

    def before_step(self, model: nn.Module, step: int) -> None: ...

    def after_step(self, model: nn.Module, step: int) -> None: ...

    def evaluate(self, run: Run, model: nn.Module, step: int) -> dict[str, float]:
        return {"seen": float(step)}


def asked(config: TrainConfig, **more: object) -> dict[str, Any]:
    return {"settings": asdict(config), "data": None, **more}


def opened(root: Path, config: TrainConfig, **how: Any) -> Run:
    return open_run("x", asked(config), made_with={}, root=root, extendable=True, **how)


def trained(run: Run, config: TrainConfig, stop: int = -1) -> TrainingResult:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 4))

    def progress(done: int, _: int | None) -> None:
        if done == stop:
            raise Stop

    return run_training(
        run,
        TrainState.start(model, config),
        config,
        Task(),
        lambda state: torch.save(state.average.state_dict(), run.model),
        title="it",
        progress=progress,
    )


def made(root: Path, config: TrainConfig = SHORT, **how: Any) -> Run:
    """A finished run."""
    return trained(opened(root, config, **how), config).run


def config_of(run: Run) -> Any:
    return json.loads((run.folder / "config.json").read_text())["config"]


def test_more_steps_go_on_from_the_last_checkpoint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="magkit")
    first = made(tmp_path)
    short = first.model.read_bytes()
    again = opened(tmp_path, LONG)
    assert (again.folder, again.extended_from) == (first.folder, 6)
    assert config_of(first)["settings"]["steps"] == 6, "nothing is changed before it is held"
    done = trained(again, LONG)
    assert (done.continued, done.steps) == (6, 10)
    assert any("6 steps" in told and str(first.folder) in told for told in caplog.messages)
    assert (first.folder / "model-6.safetensors").read_bytes() == short
    assert first.model.read_bytes() != short
    assert config_of(first) == json.loads(json.dumps(asked(LONG)))
    lines = read_metrics(first.metrics)
    assert [line["step"] for line in lines] == list(range(1, 11))
    rates = [learning_rate(SHORT if step < 6 else LONG, step) for step in range(10)]
    assert [line["rate"] for line in lines] == pytest.approx(rates)


def test_it_goes_on_exactly_as_a_longer_run_from_that_checkpoint(tmp_path: Path) -> None:
    first = made(tmp_path / "a")
    twin = opened(tmp_path / "b", LONG)
    for name in ("checkpoint-6.pt", "metrics.jsonl"):
        shutil.copy(first.folder / name, twin.folder / name)
    trained(twin, LONG)
    trained(opened(tmp_path / "a", LONG), LONG)
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (first.folder / name).read_bytes() == (twin.folder / name).read_bytes()


@pytest.mark.parametrize("stop", [6, 7, 8, 10])
def test_stopped_while_it_goes_on_equals_never_stopped(tmp_path: Path, stop: int) -> None:
    whole, stopped = (made(tmp_path / name) for name in ("whole", "stopped"))
    trained(opened(tmp_path / "whole", LONG), LONG)
    with pytest.raises(Stop):
        trained(opened(tmp_path / "stopped", LONG), LONG, stop)
    assert not stopped.finished
    again = opened(tmp_path / "stopped", LONG)
    assert (again.folder, again.extended_from) == (stopped.folder, None)
    trained(again, LONG)
    for name in ("model.safetensors", "model-6.safetensors", "metrics.jsonl"):
        assert (stopped.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_again_and_again(tmp_path: Path) -> None:
    run = made(tmp_path)
    for steps in (8, 9):
        config = replace(SHORT, steps=steps)
        assert trained(opened(tmp_path, config), config).continued == steps - (
            2 if steps == 8 else 1
        )
    assert sorted(path.name for path in run.folder.glob("model*")) == [
        "model-6.safetensors",
        "model-8.safetensors",
        "model.safetensors",
    ]
    record = json.loads((run.folder / "config.json").read_text())
    assert record["ended_after"] == [6, 8]
    assert opened(tmp_path, replace(SHORT, steps=9)).folder == tmp_path / "x-002"


def test_which_run_goes_on(tmp_path: Path) -> None:
    first, second = made(tmp_path), made(tmp_path, new=True)
    other = made(tmp_path, replace(SHORT, seed=4))
    assert opened(tmp_path, LONG).folder == second.folder, "the newest"
    assert other.folder == tmp_path / "x-003"
    fresh = opened(tmp_path, LONG, new=True)
    assert fresh.folder == tmp_path / "x-004"
    assert opened(tmp_path, LONG) == fresh, "an unfinished equal one comes before it"
    shutil.rmtree(fresh.folder)
    (second.folder / "checkpoint-6.pt").unlink()
    assert opened(tmp_path, LONG).folder == first.folder, "of what can be gone on from"
    assert opened(tmp_path, replace(SHORT, steps=5)).folder == tmp_path / "x-004", "fewer: anew"
    plain = open_run("x", asked(replace(SHORT, steps=11)), made_with={}, root=tmp_path)
    assert plain.folder == tmp_path / "x-005", "of jobs that have no steps"


def test_an_unfinished_run_of_fewer_steps_stays_as_it_is(tmp_path: Path) -> None:
    run = opened(tmp_path, SHORT)
    with pytest.raises(Stop):
        trained(run, SHORT, 5)
    assert opened(tmp_path, LONG).folder == tmp_path / "x-002"
    with pytest.raises(MagkitError, match="unfinished run of 6 steps") as caught:
        opened(tmp_path, LONG, output=run.folder)
    assert "--steps 6" in caught.value.hint


def test_a_folder_that_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "named"
    run = made(tmp_path, output=folder)
    with pytest.raises(MagkitError, match="a run of 6 steps, and 5 are fewer"):
        opened(tmp_path, replace(SHORT, steps=5), output=folder)
    with pytest.raises(MagkitError, match="finished run") as caught:
        opened(tmp_path, SHORT, output=folder)
    assert "--steps" in caught.value.hint
    with pytest.raises(MagkitError, match=r"settings\.seed is 3 there, 4 here"):
        opened(tmp_path, replace(LONG, seed=4), output=folder)
    with pytest.raises(MagkitError, match="exists"):
        opened(tmp_path, LONG, output=folder, new=True)
    assert trained(opened(tmp_path, LONG, output=folder), LONG).continued == 6
    (folder / "checkpoint-10.pt").unlink()
    with pytest.raises(MagkitError, match=r"checkpoint-10\.pt is missing"):
        opened(tmp_path, replace(SHORT, steps=12), output=folder)
    assert run.finished


def test_a_broken_last_checkpoint_goes_on_from_the_one_before(tmp_path: Path) -> None:
    run = made(tmp_path)
    (run.folder / "checkpoint-6.pt").write_bytes(b"cut")
    assert trained(opened(tmp_path, LONG), LONG).continued == 4
    lines = read_metrics(run.metrics)
    assert [line["step"] for line in lines] == list(range(1, 11))
    assert lines[5]["rate"] == pytest.approx(learning_rate(LONG, 5))


def test_where_no_checkpoint_can_be_read_the_finished_run_stays(tmp_path: Path) -> None:
    run = made(tmp_path)
    for path in run.folder.glob("checkpoint-*.pt"):
        path.write_bytes(b"cut")
    with pytest.raises(MagkitError, match="can be read"):
        trained(opened(tmp_path, LONG), LONG)
    assert run.finished
    assert config_of(run)["settings"]["steps"] == 6


def test_two_processes_never_extend_one_run(tmp_path: Path) -> None:
    run = made(tmp_path)
    again = opened(tmp_path, LONG)
    with file_lock(run.folder), pytest.raises(MagkitError, match="another process"):
        trained(again, LONG)
    assert run.finished
    extend_run(again, 6)
    extend_run(again, 6)
    assert sorted(path.name for path in run.folder.glob("model*")) == ["model-6.safetensors"]
    with pytest.raises(MagkitError, match="another process changed"):
        extend_run(replace(again, config=asked(replace(LONG, steps=20))), 6)


def test_killed_after_the_result_was_put_away_it_is_extended_all_the_same(tmp_path: Path) -> None:
    run = made(tmp_path)
    short = run.model.read_bytes()
    run.model.rename(run.folder / "model-6.safetensors")
    assert trained(opened(tmp_path, LONG), LONG).continued == 6
    assert (run.folder / "model-6.safetensors").read_bytes() == short


@pytest.mark.parametrize("steps", ["6", True, None, 6.5, [6]])
def test_steps_that_make_no_sense_are_another_run(tmp_path: Path, steps: object) -> None:
    run = made(tmp_path)
    path = run.folder / "config.json"
    record = json.loads(path.read_text())
    record["config"]["settings"]["steps"] = steps
    path.write_text(json.dumps(record))
    assert opened(tmp_path, LONG).folder == tmp_path / "x-002"
    with pytest.raises(MagkitError, match="another run"):
        opened(tmp_path, LONG, output=run.folder)
