"""Finished jobs opened again from their records, which anybody may have written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.invert.job import Inverted, Job, invert
from magkit.invert.load_job import load_job
from magkit.invert.plan import ClipPlan
from magkit.invert.targets.load import TargetChoice
from magkit.runtime.shard import Shard

Small = Callable[..., Job]
Edit = Callable[[Callable[[dict[str, Any]], Any]], Path]


@pytest.fixture(scope="module")
def done(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Inverted[ClipPlan]:
    """A job of which nothing is as it is by default."""
    tables = {"two-dogs": {"mask": 2.0, "frames": {"2": {"lr": 0.2, "warm_steps": 3}}}}
    job = small(
        {"shares": (0.2, 0.5, 0.3), "iterations": 2},
        videos=["two-dogs"],
        frames="1-2",
        classes=["dog", "cow"],
        tables=tables,
        sweep={"bn": ["1", "2"]},
    )
    return invert(job, output=tmp_path_factory.mktemp("jobs") / "run")


@pytest.fixture
def edit(done: Inverted[ClipPlan], tmp_path: Path) -> Edit:
    """Copies the job, with another record."""

    def change(how: Callable[[dict[str, Any]], Any]) -> Path:
        folder = tmp_path / "copy"
        shutil.copytree(done.run.folder, folder)
        record = json.loads((folder / "config.json").read_text())
        how(record)
        (folder / "config.json").write_text(json.dumps(record))
        return folder

    return change


def test_a_job_is_opened_as_it_was_made(
    done: Inverted[ClipPlan], moving: Path, weights: dict[str, Path]
) -> None:
    run, plans, targets = load_job(done.run.folder, moving, [weights["target"]])
    assert plans == list(done.plans)
    assert [plan.settings_of(1).lr for plan in plans if isinstance(plan, ClipPlan)] == [0.2] * 2
    assert targets == [TargetChoice("segmenter", weights=weights["target"])]
    assert (run.folder, run.model.name) == (done.run.folder, "report.json")


def test_a_job_of_masks_knows_where_they_are(
    small: Small, moving: Path, tmp_path: Path, weights: dict[str, Path]
) -> None:
    masks = tmp_path / "walk"
    shutil.copytree(moving / "Annotations/480p/bear", masks)
    made = invert(small(masks=masks, frames="first", classes=["bear"]), output=tmp_path / "run")
    _, plans, _ = load_job(tmp_path / "run", None, [weights["target"]])
    assert plans == list(made.plans)
    shutil.rmtree(masks)
    with pytest.raises(MagkitError, match="no folder of masks"):
        load_job(tmp_path / "run", None, [weights["target"]])


def test_frames_that_are_missing(
    small: Small, tmp_path: Path, moving: Path, weights: dict[str, Path]
) -> None:
    invert(small(), output=tmp_path / "run", share=Shard(1, 3))
    with pytest.raises(
        MagkitError, match="'bear' lacks 2 of its 5 frames, 00003 for one"
    ) as caught:
        load_job(tmp_path / "run", moving, [weights["target"]])
    assert "goes on" in caught.value.hint


def test_other_masks_are_noticed(
    done: Inverted[ClipPlan], moving: Path, tmp_path: Path, weights: dict[str, Path]
) -> None:
    other = tmp_path / "DAVIS"
    shutil.copytree(moving, other)
    mask = other / "Annotations/480p/two-dogs/00002.png"
    with Image.open(mask) as image:
        turned = image.transpose(Image.Transpose.ROTATE_180)
    turned.save(mask)
    with pytest.raises(MagkitError, match="the masks are not those") as caught:
        load_job(done.run.folder, other, [weights["target"]])
    assert "--davis" in caught.value.hint
    mask.unlink()
    with pytest.raises(MagkitError, match="'two-dogs' has no mask 00002 any more"):
        load_job(done.run.folder, other, [weights["target"]])
    shutil.rmtree(mask.parent)
    with pytest.raises(UsageError, match="has no video 'two-dogs'"):
        load_job(done.run.folder, other, [weights["target"]])


def test_weights_must_be_those_that_were_inverted(
    done: Inverted[ClipPlan], moving: Path, tmp_path: Path, weights: dict[str, Path]
) -> None:
    with pytest.raises(MagkitError, match="these are not the weights of 'segmenter'"):
        load_job(done.run.folder, moving, [weights["verifier"]])
    with pytest.raises(MagkitError, match="'segmenter' was inverted with weights of a file"):
        load_job(done.run.folder, moving, [])
    with pytest.raises(MagkitError, match=r"of 'segmenter' can't be read: .*absent"):
        load_job(done.run.folder, moving, [tmp_path / "absent"])
    with pytest.raises(UsageError, match="2 weights files are given"):
        load_job(done.run.folder, moving, [weights["target"]] * 2)


BROKEN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no clips": lambda c: c.pop("clips"),
    "clips of another form": lambda c: c.update(clips=[1]),
    "no targets": lambda c: c.pop("targets"),
    "targets of another form": lambda c: c.update(targets=3),
    "a target of another form": lambda c: c.update(targets=[["segmenter"]]),
    "a clip of another form": lambda c: c.update(clips={"a": 3}),
    "objects of another form": lambda c: c["clips"].update(a={**first(c), "objects": 7}),
    "labels of another form": lambda c: c["clips"].update(a={**first(c), "objects": {"x": "dog"}}),
    "a size of another form": lambda c: c["clips"].update(a={**first(c), "size": [64]}),
    "a size that is none": lambda c: c["clips"].update(a={**first(c), "size": ["x", "y"]}),
    "frames of another form": lambda c: c["clips"].update(a={**first(c), "frames": [{}]}),
    "no masks": lambda c: c["clips"].update(a={k: v for k, v in first(c).items() if k != "masks"}),
    "a size without end": lambda c: first(c).update(size=[64, float("inf")]),
    "a size below nothing": lambda c: first(c).update(size=[-1, 96]),
    "masks of no size": lambda c: first(c).update(source=[True, 1]),
    "no frames": lambda c: first(c).update(frames=[]),
    "a class that is a list": lambda c: first(c).update(objects={"1": ["dog"]}),
    "a class that is a number": lambda c: first(c).update(objects={"1": 3}),
    "an own table of a frame without end": lambda c: first(c).update(own={"1e400": {}}),
    "a folder above": lambda c: c["clips"].update({"../../x": first(c)}),
    "a folder at the root": lambda c: c["clips"].update({"/tmp/x": first(c)}),
}


def first(config: dict[str, Any]) -> dict[str, Any]:
    table: dict[str, Any] = next(iter(config["clips"].values()))
    return table


@pytest.mark.parametrize("how", BROKEN)
def test_a_record_that_nobody_wrote(
    edit: Edit, moving: Path, weights: dict[str, Path], how: str
) -> None:
    folder = edit(lambda record: BROKEN[how](record["config"]))
    with pytest.raises(MagkitError, match=r"config\.json is not what magkit invert writes"):
        load_job(folder, moving, [weights["target"]])


def test_a_frame_of_another_size_is_named(
    edit: Edit, moving: Path, weights: dict[str, Path]
) -> None:
    folder = edit(lambda _: None)
    path = next(folder.glob("*/two-dogs/frames/00002.png"))
    for change, words in (
        (lambda: Image.new("RGB", (7, 9)).save(path), r"00002\.png: it is 7x9"),
        (lambda: path.write_bytes(b"no picture"), r"00002\.png is not a picture"),
    ):
        change()
        with pytest.raises(MagkitError, match=words):
            load_job(folder, moving, [weights["target"]])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (lambda r: r.update(kind="finetune"), "a run of 'finetune', not of 'invert'"),
        (lambda r: r.update(format=9), "a run of format 9"),
        (lambda r: r.pop("config"), "not the configuration of a run"),
        (lambda r: r["config"]["targets"][0].update(name="segmentr"), "no target is named"),
        (lambda r: first(r["config"])["settings"].update(colours=1), "named 'colours'"),
        (lambda r: first(r["config"])["settings"].update(lr="fast"), "'lr'"),
        (lambda r: first(r["config"]).update(masks="/absent"), "no folder of masks"),
    ],
)
def test_a_record_of_something_else(
    edit: Edit, moving: Path, weights: dict[str, Path], how: Any, words: str
) -> None:
    with pytest.raises(MagkitError, match=words):
        load_job(edit(how), moving, [weights["target"]])


def test_no_run_at_all(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(MagkitError, match=r"no config\.json"):
            load_job(folder, None, [])
