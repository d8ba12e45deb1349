"""Who takes pictures of classes for what was asked, and the report of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from magkit.errors import MagkitError
from magkit.invert import class_report
from magkit.invert.class_job import ClassesInverted, ClassJob, folder_of_classes, invert_classes
from magkit.invert.class_judge import agreement, class_judges, judge_classes, pictures_to_judge
from magkit.invert.class_report import write_class_report, write_class_sheet
from magkit.invert.report import JudgingError
from magkit.invert.targets.load import TargetChoice
from magkit.runtime.files import file_lock

Colours = Callable[..., ClassJob]
Tiny = Callable[..., TargetChoice]
CPU = torch.device("cpu")


@pytest.fixture
def done(colours: Colours, tmp_path: Path) -> ClassesInverted:
    """Three pictures of each colour, painted over: those of blue are red, but the first."""
    made = invert_classes(colours({"iterations": 1}), output=tmp_path / "run")
    tones = {"red": (220, 40, 40), "green": (40, 220, 40), "blue": (40, 40, 220)}
    for each in made.plan.pictures():
        wrong = each.label == "blue" and each.number
        image = Image.new("RGB", (48, 32), tones["red" if wrong else each.label])
        image.save(made.run.folder / "classes" / f"{each.stem}.png")
    return made


def judged(done: ClassesInverted, *targets: TargetChoice, verifier: Any = None) -> dict[str, Any]:
    judges = class_judges(targets, verifier, CPU)
    return judge_classes(done.plan, folder_of_classes(done.run), judges, CPU)


def test_which_part_of_the_pictures_is_taken_for_what_was_asked(
    done: ClassesInverted, tiny: Tiny
) -> None:
    told = list[int]()
    judges = class_judges([tiny()], tiny("seed=1"), CPU)
    found = judge_classes(done.plan, folder_of_classes(done.run), judges, CPU, told.append)
    assert found["mean"] == pytest.approx({"target": 7 / 9, "verifier": 7 / 9})
    by_class = {label: scores["verifier"] for label, scores in found["classes"].items()}
    assert by_class == pytest.approx({"red": 1, "green": 1, "blue": 1 / 3})
    rows = {row["picture"]: row for row in found["pictures"]}
    assert len(rows) == 9
    assert (rows["blue/01"]["class"], rows["blue/01"]["verifier"]) == ("blue", "red")
    assert rows["blue/00"]["target_score"] > 0.9 > 0.1 > rows["blue/01"]["target_score"]
    # A picture of noise is of one colour, and asked for as each of the three: a third is right.
    assert 0 <= found["noise"]["verifier"] <= 1
    assert told[-1] == pictures_to_judge(done.plan) == 18


def test_noise_is_the_same_for_whoever_judges(done: ClassesInverted, tiny: Tiny) -> None:
    both = [judged(done, tiny(), verifier=tiny())["noise"] for _ in range(2)]
    assert both[0] == both[1]
    assert both[0]["target"] == both[0]["verifier"]


def test_a_judge_has_no_say_about_a_class_that_it_does_not_know(
    done: ClassesInverted, tiny: Tiny
) -> None:
    found = judged(done, tiny(), verifier=tiny("classes=red,lime,blue"))
    assert found["mean"]["verifier"] == pytest.approx(4 / 6)
    assert "verifier" not in found["classes"]["green"]
    assert "verifier" not in found["classes"]["green"]["noise"]
    stranger = judged(done, tiny(), verifier=tiny("classes=a,b,c"))
    assert list(stranger["mean"]) == ["target"]


def test_who_sees_nothing_takes_nothing_for_what_was_asked(
    done: ClassesInverted, tiny: Tiny
) -> None:
    found = judged(done, tiny(), verifier=tiny("fault=blind"))
    assert found["mean"]["verifier"] == 0
    assert {row["verifier"] for row in found["pictures"]} == {""}
    assert {row["verifier_score"] for row in found["pictures"]} == {0.0}


def test_several_targets_have_a_say_each(done: ClassesInverted, tiny: Tiny) -> None:
    assert list(judged(done, tiny(), tiny("seed=1"))["mean"]) == ["target1", "target2"]


def test_agreement_of_nobody() -> None:
    assert agreement([{"picture": "a/00", "class": "a"}], ["target"]) == {}


def test_the_report(done: ClassesInverted, tiny: Tiny) -> None:
    told: list[tuple[int, int | None]] = []
    judges = class_judges([tiny()], tiny("seed=1"), CPU)
    report = write_class_report(
        done.run, done.plan, judges, CPU, lambda now, total: told.append((now, total))
    )
    assert json.loads((done.run.folder / "report.json").read_text()) == report
    assert report["verifier"] == "tiny"
    assert told[-1] == (18, 18)
    assert done.run.finished
    alone = write_class_report(done.run, done.plan, class_judges([tiny()], None, CPU), CPU)
    assert alone["verifier"] is None
    assert list(alone["mean"]) == ["target"]


def test_the_contact_sheet_has_a_row_for_each_class(done: ClassesInverted, tiny: Tiny) -> None:
    write_class_report(done.run, done.plan, class_judges([tiny()], None, CPU), CPU)
    sheet = np.asarray(Image.open(done.run.folder / "contact.png")).astype(int)
    # Two pixels for each of theirs, a frame of 2 and a gap of 2 around.
    high, wide = 2 * 32 + 8, 2 * 48 + 8
    assert sheet.shape == (3 * high, class_report.NAMES + 3 * wide, 3)
    assert (sheet[:, : class_report.NAMES] < 128).any(), "the names"
    for row in range(3):
        for column in range(3):
            top, left = row * high, class_report.NAMES + column * wide
            cell = sheet[top : top + high, left : left + wide]
            frame, middle = cell[high // 2, 3], cell[high // 2, wide // 2]
            wrong = row == 2 and column > 0
            assert (frame.tolist() == [217, 26, 26]) == wrong
            assert middle.argmax() == (0 if wrong else row)


def test_a_sheet_of_many_classes_shows_some_of_them(
    done: ClassesInverted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(class_report, "MOST_ROWS", 2)
    monkeypatch.setattr(class_report, "SHOWN", 1)
    monkeypatch.setattr(class_report, "LARGEST", 64)
    rows = [{"picture": each.stem, "class": each.label} for each in done.plan.pictures()]
    write_class_sheet(tmp_path / "sheet.png", done.plan, folder_of_classes(done.run), rows)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape[0] == 2 * (2 * 32 + 8)
    assert sheet[36, -50].argmax() == 0
    assert sheet[-36, -50].argmax() == 2, "the first and the last"


def test_large_pictures_are_made_smaller_on_the_sheet() -> None:
    tile = class_report._tile(torch.rand(3, 300, 512), right=True)
    assert tile.shape == (3, 75 + 4, 128 + 4)


def test_a_report_that_can_t_be_written(done: ClassesInverted, tiny: Tiny) -> None:
    judges = class_judges([tiny()], None, CPU)
    with file_lock(done.run.folder, ".report"), pytest.raises(JudgingError):
        write_class_report(done.run, done.plan, judges, CPU)
    damaged = done.run.folder / "classes" / "green" / "01.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    with pytest.raises(MagkitError, match=r"01\.png is damaged"):
        write_class_report(done.run, done.plan, judges, CPU)
    assert not done.run.finished
