"""Whole pretrainings of a tiny encoder: what comes out, and that nothing else determines it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from magkit.errors import MagkitError, UsageError
from magkit.magnify.encoder import read_info
from magkit.selfsup.job import PretrainJob
from magkit.selfsup.pretrain import pretrain
from magkit.training.metrics import read_metrics
from magkit.training.train import TrainingResult

SMALL = {"size": 64, "frame": 72, "batch": 4, "steps": 4, "warmup": 1}
JOB = PretrainJob(
    method="byol",
    options=("hidden=16", "dim=8"),
    magnifier_options=("stem=8", "width=8", "guide=8", "hidden=8"),
    scenes=10,
    settings={**SMALL, "save_every": 1, "sample_every": 2},
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    return pretrain(JOB, output=tmp_path_factory.mktemp("runs") / "first", workers=0)


def same(one: TrainingResult, other: TrainingResult) -> bool:
    left, right = load_file(one.run.model), load_file(other.run.model)
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_a_run_holds_all_that_there_is_to_know(outcome: TrainingResult) -> None:
    lines = read_metrics(outcome.run.metrics)
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert {"loss", "texture_regression", "motion_regression", "rate"} <= lines[0].keys()
    for name in ("motion_readout", "texture_rank", "motion_spread"):
        assert [name in line for line in lines] == [False, True, False, True]
    assert read_info(outcome.run.model).branches == ("motion", "texture")
    assert read_info(outcome.run.folder / "best.safetensors").steps in (2, 4)
    record = json.loads((outcome.run.folder / "config.json").read_text())["config"]
    assert (record["method"], record["options"]["dim"]) == ("byol", 8)
    assert Image.open(outcome.run.samples / "views.png").size == (8 * 68, 4 * 68)
    assert Image.open(outcome.run.folder / "curves.png").size[0] > 400


def test_the_encoder_has_learnt_something(outcome: TrainingResult) -> None:
    start = torch.load(outcome.run.folder / "checkpoint-3.pt", weights_only=True)["model"]
    made = load_file(outcome.run.model)
    assert all(torch.isfinite(value).all() for value in made.values())
    assert any(not torch.equal(made[k], start[f"encoder.{k}"]) for k in made)


@pytest.mark.parametrize(("method", "stop_at"), [("moco", 3), ("byol", 1), ("scrl", 2)])
def test_a_resumed_run_equals_one_that_was_not_stopped(
    outcome: TrainingResult,
    tmp_path: Path,
    method: str,
    stop_at: int,
    log: pytest.LogCaptureFixture,
) -> None:
    queue = ("queue=8",) if method == "moco" else ()
    job = replace(JOB, method=method, options=(*JOB.options, *queue))

    def stop(done: int, _: int | None) -> None:
        if done == stop_at:
            raise KeyboardInterrupt

    whole = outcome if job == JOB else pretrain(job, output=tmp_path / "whole", workers=0)
    with pytest.raises(KeyboardInterrupt):
        pretrain(job, output=tmp_path / "run", workers=0, progress=stop)
    torch.rand(stop_at)  # what the process drew meanwhile makes no difference
    log.clear()
    again = pretrain(job, output=tmp_path / "run", workers=int(method == "moco"))
    assert again.continued == stop_at
    assert any(f"from step {stop_at}" in text for text in log.messages)
    assert same(again, whole)
    for name in ("model.safetensors", "best.safetensors", "metrics.jsonl"):
        left, right = (outcome.run.folder / name for outcome in (whole, again))
        assert left.read_bytes() == right.read_bytes()
    left, right = (torch.load(o.run.folder / "checkpoint-4.pt") for o in (whole, again))
    torch.testing.assert_close(left["model"], right["model"], rtol=0, atol=0)


def test_the_seed_the_method_and_the_data_determine_the_result(
    outcome: TrainingResult, tmp_path: Path
) -> None:
    jobs = [
        replace(JOB, settings={**JOB.settings, "seed": 1}),
        replace(JOB, method="scrl"),
        replace(JOB, scenes=11),
        replace(JOB, settings={**JOB.settings, "pairs": "views"}),
    ]

    def stop(done: int, _: int | None) -> None:
        if done == 1:
            raise KeyboardInterrupt

    (first, *_) = read_metrics(outcome.run.metrics)
    for number, job in enumerate(jobs):
        folder = tmp_path / str(number)
        with pytest.raises(KeyboardInterrupt):
            pretrain(job, output=folder, workers=0, progress=stop)
        (line,) = read_metrics(folder / "metrics.jsonl")
        assert line["loss"] != first["loss"]
        assert json.loads((folder / "config.json").read_text())["config"] != outcome.run.config


def test_parts_of_a_batch_train_as_the_whole_where_nothing_is_normalised(tmp_path: Path) -> None:
    job = replace(JOB, method="moco", options=("hidden=16", "dim=8", "queue=8"))
    parts = replace(job, settings={**job.settings, "accumulate": 2})
    one, other = (
        pretrain(job, output=tmp_path / str(n), workers=0) for n, job in enumerate((job, parts))
    )
    left, right = load_file(one.run.model), load_file(other.run.model)
    for name, value in left.items():
        torch.testing.assert_close(value, right[name], rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("branch", ["texture", "motion"])
def test_a_branch_alone(tmp_path: Path, branch: str) -> None:
    job = replace(JOB, branch=branch, settings={**JOB.settings, "steps": 1})
    made = pretrain(job, output=tmp_path / "run", workers=0)
    assert read_info(made.run.model).branches == (branch,)
    assert f"{branch}_regression" in made.metrics
    assert len([name for name in made.metrics if name.endswith("regression")]) == 1


def test_a_backbone_with_norms_and_half_precision(tmp_path: Path) -> None:
    settings = {**JOB.settings, "steps": 1, "precision": "bf16", "optimizer": "lars"}
    options = ("hidden=16", "dim=8", "queue=8")
    job = replace(JOB, method="moco", options=options, backbone="resnet18", settings=settings)
    made = pretrain(job, output=tmp_path / "run", workers=0)
    assert read_info(made.run.model).magnifier == "resnet18"
    assert {value.dtype for value in load_file(made.run.model).values()} == {
        torch.float32,
        torch.int64,
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "byl"}, "did you mean 'byol'"),
        ({"options": ("boxes=3",)}, "no option of method 'byol' is named 'boxes'"),
        ({"preset": "papers"}, "did you mean 'paper'"),
        ({"method": "moco"}, "a queue of 512 keys is larger than the data, 10 frames"),
        ({"backbone": "resnet19"}, "did you mean 'resnet18'"),
        ({"branch": "shape"}, "has no branch 'shape'"),
        ({"magnifier": "linear", "magnifier_options": ()}, "no encoder"),
        ({"settings": {**SMALL, "size": 66}}, "multiple of 4"),
        ({"settings": {**SMALL, "size": 96}}, "can't be cut out of frames"),
        ({"settings": {**SMALL, "batch": 1}}, "batch must be at least 2"),
        ({"settings": {**SMALL, "accumulate": 3}}, "accumulate must divide batch"),
        ({"settings": {**SMALL, "pears": "views"}}, "did you mean 'pairs'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_not_go_together(tmp_path: Path, change: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        pretrain(replace(JOB, **change), output=tmp_path / "run", workers=0)  # type: ignore[arg-type]
    assert words in f"{caught.value.message} {caught.value.hint}"
    assert not (tmp_path / "run").exists()


def test_another_runs_folder_is_refused_and_nothing_is_lost(
    outcome: TrainingResult, tmp_path: Path
) -> None:
    before = outcome.run.model.read_bytes()
    for job, words in (
        (JOB, "holds a finished run"),
        (replace(JOB, method="scrl"), "method is byol there, scrl here"),
    ):
        with pytest.raises(MagkitError, match=words):
            pretrain(job, output=outcome.run.folder, workers=0)
    assert outcome.run.model.read_bytes() == before
    other = tmp_path / "finetune"
    other.mkdir()
    (other / "config.json").write_text('{"kind": "finetune", "format": 1, "config": {}}')
    with pytest.raises(MagkitError, match="a run of 'finetune', not of 'pretrain'"):
        pretrain(JOB, output=other, workers=0)
    (other / "config.json").write_text('{"kind": "pretrain", "format": 99, "config": {}}')
    with pytest.raises(MagkitError, match="format 99"):
        pretrain(JOB, output=other, workers=0)


def test_a_checkpoint_cut_in_half_falls_back(
    outcome: TrainingResult, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    def stop(done: int, _: int | None) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(JOB, output=tmp_path / "run", workers=0, progress=stop)
    newest = tmp_path / "run" / "checkpoint-3.pt"
    newest.write_bytes(newest.read_bytes()[: newest.stat().st_size // 2])
    log.clear()
    again = pretrain(JOB, output=tmp_path / "run", workers=0)
    assert again.continued == 2
    assert any("checkpoint-3.pt can't be read" in text for text in log.messages)
    assert same(again, outcome)


@pytest.mark.parametrize("method", ["moco", "byol"])
def test_more_steps_train_a_finished_encoder_further(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    queue = ("queue=8",) if method == "moco" else ()
    short = replace(JOB, method=method, options=(*JOB.options, *queue))
    long = replace(short, settings={**short.settings, "steps": 5})
    first = pretrain(short, workers=0)
    before = first.run.model.read_bytes()
    again = pretrain(long, workers=0)
    assert (again.run.folder, again.continued, again.steps) == (first.run.folder, 4, 5)
    assert read_info(again.run.model).steps == 5
    assert (first.run.folder / "model-4.safetensors").read_bytes() == before
    assert read_info(first.run.folder / "model-4.safetensors").steps == 4
    assert [line["step"] for line in read_metrics(again.run.metrics)] == list(range(1, 6))
    anew = pretrain(long, workers=0, new=True)
    assert (anew.continued, anew.steps) == (0, 5)
    assert not same(anew, again)


def test_one_picture_is_too_few(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.new("RGB", (80, 80), "red").save(folder / "only.png")
    with pytest.raises(MagkitError):
        pretrain(replace(JOB, data=str(folder)), output=tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()


def test_a_label_probe_changes_nothing(outcome: TrainingResult, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    for name in ("one", "two"):
        (tmp_path / "labelled" / name).mkdir(parents=True)
        for number in range(4):
            pixels = torch.randint(256, (20, 30, 3), generator=generator).byte().numpy()
            Image.fromarray(pixels).save(tmp_path / "labelled" / name / f"{number}.png")
    job = replace(JOB, probe=tmp_path / "labelled")
    watched = pretrain(job, output=tmp_path / "watched", workers=0)
    assert watched.run.model.read_bytes() == outcome.run.model.read_bytes()
    one, other = (
        torch.load(each.run.folder / "checkpoint-4.pt", weights_only=True)["model"]
        for each in (outcome, watched)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    probed = {f"{b}_{kind}" for b in ("texture", "motion") for kind in ("knn", "linear")}
    for line, plain in zip(
        read_metrics(watched.run.metrics), read_metrics(outcome.run.metrics), strict=True
    ):
        more = {*probed, "chance"} if line["step"] % 2 == 0 else set()
        assert line.keys() - plain.keys() == more
        assert all(0 <= line[name] <= 1 for name in more)
        assert {name: line[name] for name in plain} == plain
