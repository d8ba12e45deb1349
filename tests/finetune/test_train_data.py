"""Trainings on data sets: as exact as those on scenes made on the way, and what they refuse."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file

from magkit.data.plan import Format, Kind, make_plan
from magkit.data.write import write_dataset
from magkit.errors import MagkitError, UsageError
from magkit.finetune.finetune import FinetuneJob, FinetuneResult, finetune
from magkit.synth.build import build_sources
from magkit.synth.scene import SceneConfig

FAST = FinetuneJob(
    magnifier="magnet-fast",
    options=("stem=8", "width=8", "guide=8", "hidden=8"),
    settings={"steps": 3, "batch": 2, "size": 64, "save_every": 1},
)
Made = Callable[..., str]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Writes three scenes of 72 pixels, once a format and kind."""
    places: dict[tuple[Format, Kind], Path] = {}

    def make(layout: Format, kind: Kind = "triplets") -> str:
        if (layout, kind) not in places:
            sources = build_sources((), None, None, 3)
            config = SceneConfig(size=72, objects=(1, 2))
            places[layout, kind] = tmp_path_factory.mktemp("data") / "set"
            plan = make_plan(kind, layout, 3, 0, config, sources)
            write_dataset(places[layout, kind], plan, sources)
        return str(places[layout, kind])

    return make


def same_weights(one: FinetuneResult, other: FinetuneResult) -> bool:
    left, right = load_file(one.run.model), load_file(other.run.model)
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


@pytest.mark.parametrize("layout", ["tar", "recipe"])
def test_a_resumed_training_equals_one_that_was_not_stopped(
    made: Made, tmp_path: Path, layout: Format, log: pytest.LogCaptureFixture
) -> None:
    job = replace(FAST, data=made(layout))

    def stop(done: int, _: int | None) -> None:
        if done == 2:
            raise KeyboardInterrupt

    whole = finetune(job, output=tmp_path / "whole", workers=0)
    with pytest.raises(KeyboardInterrupt):
        finetune(job, output=tmp_path / "run", workers=0, progress=stop)
    log.clear()
    again = finetune(job, output=tmp_path / "run", workers=layout == "tar")
    assert again.continued == 2
    assert f"3 scenes of {job.data}" in log.messages[0]
    assert same_weights(again, whole)
    assert len(again.run.config["data"]["fingerprint"]) == 64
    assert "factors" not in again.run.config["settings"]


def test_formats_hold_the_same_scenes(made: Made, tmp_path: Path) -> None:
    jobs = [replace(FAST, data=made(layout)) for layout in ("folder", "tar")]
    one, other = (finetune(job, output=tmp_path / str(n), workers=0) for n, job in enumerate(jobs))
    assert same_weights(one, other)


def test_the_published_layout_trains_what_needs_no_motion(made: Made, tmp_path: Path) -> None:
    job = replace(FAST, data=made("published"))
    with pytest.raises(UsageError, match="has no motion maps"):
        finetune(job, output=tmp_path / "fast")
    settings = {"steps": 1, "batch": 1, "size": 64}
    paper = replace(job, magnifier="magnet", options=(), settings=settings)
    outcome = finetune(paper, output=tmp_path / "run", workers=0)
    assert 0 < outcome.metrics["image"] < 10


@pytest.mark.parametrize("layout", ["published", "folder"])
def test_a_stopped_training_does_not_go_on_with_other_pictures(
    made: Made, tmp_path: Path, layout: Format
) -> None:
    data = shutil.copytree(made(layout), tmp_path / "data")
    settings = {"steps": 2, "batch": 1, "size": 64, "save_every": 1}
    job = FinetuneJob(magnifier="magnet", settings=settings, data=str(data))

    def stop(done: int, _: int | None) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(job, output=tmp_path / "run", workers=0, progress=stop)
    for path in data.rglob("*.png"):  # the factors and the plan stay as they are
        with Image.open(path) as image:
            if image.mode == "RGB":
                ImageOps.invert(image).save(path)
    with pytest.raises(MagkitError, match="fingerprint"):
        finetune(job, output=tmp_path / "run", workers=0)


def test_what_does_not_go_with_a_data_set(made: Made, tmp_path: Path) -> None:
    triplets = made("folder")
    wrong: list[tuple[FinetuneJob, str]] = [
        (replace(FAST, data=made("folder", "frames")), "single frames"),
        (replace(FAST, data=triplets, procedural=3), "--data excludes"),
        (replace(FAST, data=triplets, images=("x",)), "--data excludes"),
        (replace(FAST, data=triplets, settings={"factors": "2,9"}), "'factors' can't be set"),
        (replace(FAST, data=triplets, settings={"size": 128}), "72x72 pixels, less than 128"),
    ]
    for job, said in wrong:
        with pytest.raises(UsageError, match=said):
            finetune(job, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
