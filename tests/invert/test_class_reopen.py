"""Finished jobs of classes, opened again from their records, which anybody may have written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.invert.job import ClassJob, Inverted, invert
from magkit.invert.load_job import load_job
from magkit.invert.plan import ClassPlan
from magkit.invert.targets.load import TargetChoice

Colours = Callable[..., ClassJob]
Tiny = Callable[..., TargetChoice]


@pytest.fixture
def done(colours: Colours, tiny: Tiny, tmp_path: Path) -> Inverted[ClassPlan]:
    """A job of which nothing is as it is by default."""
    target = TargetChoice("tiny", 0.5, None, ("seed=3", "classes=red,green,sky/blue"))
    job = colours({"iterations": 1, "lr": 0.3}, targets=[target], classes="sky/blue,red")
    return invert(job, output=tmp_path / "run")


def test_a_job_is_opened_as_it_was_made(done: Inverted[ClassPlan]) -> None:
    run, plans, targets = load_job(done.run.folder, None, ())
    assert (run.folder, run.model.name) == (done.run.folder, "report.json")
    assert plans == done.plans
    assert [(each.name, each.weight) for each in targets] == [("tiny", 0.5)]
    assert json.loads(json.dumps(targets[0].to_dict())) == run.config["targets"][0]


def test_a_record_of_neither_masks_nor_classes(done: Inverted[ClassPlan]) -> None:
    path = done.run.folder / "config.json"
    record = json.loads(path.read_text())
    del record["config"]["classes"]
    path.write_text(json.dumps(record))
    with pytest.raises(MagkitError, match="is not what magkit invert writes"):
        load_job(done.run.folder, None, ())


def test_what_is_missing(done: Inverted[ClassPlan], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="2 weights files are given, more than"):
        load_job(done.run.folder, None, [tmp_path / "a", tmp_path / "b"])
    (done.run.folder / "classes" / "sky-blue" / "01.png").unlink()
    with pytest.raises(MagkitError, match="lacks 1 of its 6 pictures, sky-blue/01"):
        load_job(done.run.folder, None, ())


def test_a_picture_of_another_size_is_named(done: Inverted[ClassPlan]) -> None:
    Image.new("RGB", (5, 4)).save(done.run.folder / "classes" / "red" / "02.png")
    with pytest.raises(MagkitError, match=r"02\.png: it is 5x4"):
        load_job(done.run.folder, None, ())


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.pop("targets"),
        lambda c: c.update(classes=[]),
        lambda c: c["classes"].pop("per_class"),
        lambda c: c["classes"].update(size=[32]),
        lambda c: c["classes"].update(per_class="many"),
        lambda c: c["classes"].update(per_class=float("inf")),
        lambda c: c["classes"].update(per_class=10**400),
        lambda c: c["classes"].update(per_class=0),
        lambda c: c["classes"].update(labels=None),
        lambda c: c["classes"].update(labels=[]),
        lambda c: c["classes"].update(labels=[3]),
        lambda c: c["classes"].update(size=[32, -48]),
        lambda c: c.update(targets=["tiny"]),
    ],
)
def test_a_record_that_was_changed(done: Inverted[ClassPlan], change: Callable[[Any], Any]) -> None:
    path = done.run.folder / "config.json"
    record = json.loads(path.read_text())
    change(record["config"])
    path.write_text(json.dumps(record))
    with pytest.raises(MagkitError, match="is not what magkit invert writes"):
        load_job(done.run.folder, None, ())


def test_a_record_that_names_no_class_leads_nowhere(done: Inverted[ClassPlan]) -> None:
    path = done.run.folder / "config.json"
    record = json.loads(path.read_text())
    record["config"]["classes"]["labels"] = ["../../elsewhere"]
    path.write_text(json.dumps(record))
    with pytest.raises(MagkitError, match="lacks 3 of its 3 pictures, ------elsewhere/00"):
        load_job(done.run.folder, None, ())
