"""Who takes pictures of classes for what was asked, and the report of it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from magkit.errors import MagkitError
from magkit.invert import report as reports
from magkit.invert.frames_on_disk import OutputFolder, save_image
from magkit.invert.job import ClassJob, Inverted, invert
from magkit.invert.judge import Judges, accuracy, judge_classes, judged_images
from magkit.invert.plan import ClassPlan
from magkit.invert.report import JudgingError, class_sheet, class_tile, write_report
from magkit.invert.targets.load import TargetChoice, load_target
from magkit.runtime.files import file_lock

Colours = Callable[..., ClassJob]
Tiny = Callable[..., TargetChoice]
CPU = torch.device("cpu")


@pytest.fixture
def done(colours: Colours, tmp_path: Path) -> Inverted[ClassPlan]:
    """Three pictures of each colour, painted over: those of blue are red, but the first."""
    made = invert(colours({"iterations": 1}), output=tmp_path / "run")
    tones = {"red": (220, 40, 40), "green": (40, 220, 40), "blue": (40, 40, 220)}
    for each in made.plans[0].pictures():
        wrong = each.label == "blue" and each.number
        image = Image.new("RGB", (48, 32), tones["red" if wrong else each.label])
        image.save(made.run.folder / "classes" / f"{each.stem}.png")
    return made


def judged(
    done: Inverted[ClassPlan], *targets: TargetChoice, verifier: Any = None
) -> dict[str, Any]:
    return judge_classes(done.plans[0], folder_of(done), judges_of(targets, verifier))


def judges_of(targets: Sequence[TargetChoice], verifier: TargetChoice | None = None) -> Judges:
    loaded = None if verifier is None else load_target(verifier, CPU)
    return Judges([load_target(each, CPU) for each in targets], loaded, CPU)


def folder_of(done: Inverted[ClassPlan]) -> OutputFolder:
    return done.plans[0].folder(done.run.folder)


def test_which_part_of_the_pictures_is_taken_for_what_was_asked(
    done: Inverted[ClassPlan], tiny: Tiny
) -> None:
    told = list[int]()
    judges = judges_of([tiny()], tiny("seed=1"))
    found = judge_classes(done.plans[0], folder_of(done), judges, told.append)
    assert found["mean"] == pytest.approx({"target": 7 / 9, "verifier": 7 / 9})
    by_class = {label: scores["verifier"] for label, scores in found["classes"].items()}
    assert by_class == pytest.approx({"red": 1, "green": 1, "blue": 1 / 3})
    rows = {row["picture"]: row for row in found["pictures"]}
    assert len(rows) == 9
    assert (rows["blue/01"]["class"], rows["blue/01"]["verifier"]) == ("blue", "red")
    assert rows["blue/00"]["target_score"] > 0.9 > 0.1 > rows["blue/01"]["target_score"]
    # A picture of noise is of one colour, and asked for as each of the three: a third is right.
    assert 0 <= found["noise"]["verifier"] <= 1
    assert told[-1] == judged_images(done.plans[0]) == 18


def test_noise_is_the_same_for_whoever_judges(done: Inverted[ClassPlan], tiny: Tiny) -> None:
    both = [judged(done, tiny(), verifier=tiny())["noise"] for _ in range(2)]
    assert both[0] == both[1]
    assert both[0]["target"] == both[0]["verifier"]


def test_a_judge_has_no_say_about_a_class_that_it_does_not_know(
    done: Inverted[ClassPlan], tiny: Tiny
) -> None:
    found = judged(done, tiny(), verifier=tiny("classes=red,lime,blue"))
    assert found["mean"]["verifier"] == pytest.approx(4 / 6)
    assert "verifier" not in found["classes"]["green"]
    assert "verifier" not in found["classes"]["green"]["noise"]
    stranger = judged(done, tiny(), verifier=tiny("classes=a,b,c"))
    assert list(stranger["mean"]) == ["target"]


def test_who_sees_nothing_takes_nothing_for_what_was_asked(
    done: Inverted[ClassPlan], tiny: Tiny
) -> None:
    found = judged(done, tiny(), verifier=tiny("fault=blind"))
    assert found["mean"]["verifier"] == 0
    assert {row["verifier"] for row in found["pictures"]} == {""}
    assert {row["verifier_score"] for row in found["pictures"]} == {0.0}


def test_several_targets_have_a_say_each(done: Inverted[ClassPlan], tiny: Tiny) -> None:
    assert list(judged(done, tiny(), tiny("seed=1"))["mean"]) == ["target1", "target2"]


def test_accuracy_of_nobody(tiny: Tiny) -> None:
    assert accuracy([{"picture": "a/00", "class": "a"}], judges_of([tiny()])) == {}


def test_the_report(done: Inverted[ClassPlan], tiny: Tiny) -> None:
    told: list[tuple[int, int | None]] = []
    judges = judges_of([tiny()], tiny("seed=1"))
    report = write_report(
        done.run, done.plans, judges, lambda now, total: told.append((now, total))
    )
    assert json.loads((done.run.folder / "report.json").read_text()) == report
    assert report["verifier"] == "tiny"
    assert told[-1] == (18, 18)
    assert done.run.finished
    alone = write_report(done.run, done.plans, judges_of([tiny()]))
    assert alone["verifier"] is None
    assert list(alone["mean"]) == ["target"]


def test_the_contact_sheet_has_a_row_for_each_class(done: Inverted[ClassPlan], tiny: Tiny) -> None:
    write_report(done.run, done.plans, judges_of([tiny()]))
    sheet = np.asarray(Image.open(done.run.folder / "contact.png")).astype(int)
    # Two pixels for each of theirs, a frame of 2 and a gap of 2 around.
    high, wide = 2 * 32 + 8, 2 * 48 + 8
    assert sheet.shape == (3 * high, reports.LABEL_WIDTH + 3 * wide, 3)
    assert (sheet[:, : reports.LABEL_WIDTH] < 128).any(), "the names"
    for row in range(3):
        for column in range(3):
            top, left = row * high, reports.LABEL_WIDTH + column * wide
            cell = sheet[top : top + high, left : left + wide]
            frame, middle = cell[high // 2, 3], cell[high // 2, wide // 2]
            wrong = row == 2 and column > 0
            assert (frame.tolist() == [217, 26, 26]) == wrong
            assert middle.argmax() == (0 if wrong else row)


def test_a_sheet_of_many_classes_shows_some_of_them(
    done: Inverted[ClassPlan], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(reports, "SHEET_CLASSES", 2)
    monkeypatch.setattr(reports, "SHEET_IMAGES", 1)
    monkeypatch.setattr(reports, "MAX_TILE", 64)
    rows = [{"picture": each.stem, "class": each.label} for each in done.plans[0].pictures()]
    save_image(tmp_path / "sheet.png", class_sheet(done.plans[0], folder_of(done), rows))
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape[0] == 2 * (2 * 32 + 8)
    assert sheet[36, -50].argmax() == 0
    assert sheet[-36, -50].argmax() == 2, "the first and the last"


def test_large_pictures_are_made_smaller_on_the_sheet() -> None:
    tile = class_tile(torch.rand(3, 300, 512), right=True)
    assert tile.shape == (3, 75 + 4, 128 + 4)


def test_a_report_that_can_t_be_written(done: Inverted[ClassPlan], tiny: Tiny) -> None:
    judges = judges_of([tiny()])
    with file_lock(done.run.folder, ".report"), pytest.raises(JudgingError):
        write_report(done.run, done.plans, judges)
    damaged = done.run.folder / "classes" / "green" / "01.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    with pytest.raises(MagkitError, match=r"01\.png is damaged"):
        write_report(done.run, done.plans, judges)
    assert not done.run.finished
