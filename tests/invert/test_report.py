"""The report of a job: its figures as a file, the panels, the contact sheet."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from magkit.errors import MagkitError
from magkit.invert.frames_on_disk import OutputFolder, read_image, save_image
from magkit.invert.job import Job, invert, plan_clips
from magkit.invert.judge import Judges
from magkit.invert.plan import ClipPlan
from magkit.invert.report import (
    CELL,
    GAP,
    LOCK,
    JudgingError,
    clip_sheet,
    mean_of_clips,
    tint_detections,
    write_report,
)
from magkit.invert.targets.load import LoadedTarget, TargetChoice, load_target
from magkit.protocols import Annotation
from magkit.runtime.files import file_lock
from magkit.training.run import Run

Small = Callable[..., Job]


class Bright:
    """Takes what is bright for a bear."""

    classes = ("bear", "cow")

    def predict(self, images_NCHW: Tensor) -> list[list[Annotation]]:
        return [[Annotation("bear", (each.mean(0) > 0.7).float(), 0.8)] for each in images_NCHW]


@pytest.fixture(autouse=True)
def few_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judges take their time."""
    monkeypatch.setattr("magkit.invert.judge.CONTROLS", 1)


@pytest.fixture
def judges() -> Judges:
    bright: Any = Bright()
    one = LoadedTarget("bright", bright, 1.0, [])
    return Judges([one], one, torch.device("cpu"))


@pytest.fixture
def made(small: Small, tmp_path: Path) -> tuple[Run, list[ClipPlan]]:
    """A job of three videos whose frames show their masks in white."""
    plans = plan_clips(small(videos=["all"]))
    run = Run(tmp_path / "run", {}, "report.json")
    for plan in plans:
        for place, frame in enumerate(plan.frames):
            shown = plan.masks(place).any(0).float().expand(3, -1, -1)
            save_image(plan.folder(run.folder).frame(frame.stem), shown)
    return run, plans


def test_a_report_is_of_strict_json(made: tuple[Run, list[ClipPlan]], judges: Judges) -> None:
    run, plans = made
    told: list[tuple[int, int | None]] = []
    found = write_report(run, plans, judges, lambda done, total: told.append((done, total)))
    assert told == [(n, 11) for n in range(1, 12)]
    text = (run.folder / "report.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    report = json.loads(text)
    assert report["verifier"] == "bright"
    assert list(report["clips"]) == ["bear", "cows", "two-dogs"]
    assert report["clips"]["bear"]["mean"]["target_J"] == 1
    assert report["clips"]["cows"]["mean"]["target_J"] == 0, "it sees a bear in place of a cow"
    assert report["clips"]["cows"]["frames"][1]["target_J"] is None, "no object is seen there"
    assert report["clips"]["two-dogs"]["flicker"]["real"] is None, "there are no real frames"
    shares = [clip["mean"]["verifier_J"] for clip in report["clips"].values()]
    assert report["mean"]["verifier_J"] == pytest.approx(sum(shares) / 3)
    assert report["mean"] == pytest.approx(found["mean"])


def test_the_panels_stand_beside_the_frames(
    made: tuple[Run, list[ClipPlan]], judges: Judges
) -> None:
    run, plans = made
    write_report(run, plans, judges)
    for plan in plans:
        folder = plan.folder(run.folder).path
        panels = ["frames", "masks", "seen"] + ["real"] * (plan.name != "two-dogs")
        assert sorted(p.name for p in folder.iterdir()) == sorted(panels)
        for panel in panels:
            names = [path.name for path in sorted((folder / panel).iterdir())]
            assert names == [f"{frame.stem}.png" for frame in plan.frames]
            assert read_image(folder / panel / names[0]).shape == (3, *plan.size)
    shown = read_image(plans[0].folder(run.folder).path / "masks" / "00002.png")
    assert torch.equal(shown[0] > 0.5, plans[0].masks(2).any(0))


def test_what_the_verifier_sees_is_tinted(small: Small, judges: Judges) -> None:
    plan = plan_clips(small())[0]
    shown = torch.full((3, 64, 96), 0.4)
    shown[:, 10:20, 30:50] = 1.0
    seen = tint_detections(judges, plan, shown)
    inside = torch.zeros(64, 96, dtype=torch.bool)
    inside[10:20, 30:50] = True
    assert (seen[0][inside] > seen[1][inside] + 0.2).all(), "red"
    assert torch.allclose(seen[:, ~inside], torch.tensor(0.2)), "half as bright elsewhere"
    cow = plan_clips(small(classes=["cow"]))[0]
    assert torch.allclose(tint_detections(judges, cow, shown), 0.5 * shown), "a bear is no cow"
    anything = plan_clips(small(classes=["any"]))[0]
    assert torch.equal(tint_detections(judges, anything, shown), seen)


def test_the_contact_sheet_has_a_row_for_each_panel(
    made: tuple[Run, list[ClipPlan]], judges: Judges
) -> None:
    run, plans = made
    write_report(run, plans, judges)
    sheet = read_image(run.folder / "contact.png")
    # Rows: 4 of bear's 5 frames and of cows' 3 beside them, 3 of two-dogs, which has no real ones.
    height = round(64 * CELL / 96)
    assert sheet.shape == (3, 7 * (height + GAP), 8 * (CELL + GAP))
    assert (sheet[:, 4 * (height + GAP) :, 3 * (CELL + GAP) :] == 1).all(), "beside two-dogs: white"
    masks = sheet[:, height + GAP : 2 * height + GAP, :CELL]
    assert set(masks[0, ::7, ::7].round().flatten().tolist()) == {0.0, 1.0}


def test_first_frames_of_many_clips_stand_side_by_side(small: Small, tmp_path: Path) -> None:
    plan, folder = plan_clips(small(frames="first"))[0], OutputFolder(tmp_path / "bear")
    save_image(folder.frame(plan.frames[0].stem), torch.zeros(3, *plan.size))
    save_image(tmp_path / "sheet.png", clip_sheet([(plan, folder)] * 10))
    height = round(64 * CELL / 96)
    sheet = read_image(tmp_path / "sheet.png")
    assert sheet.shape == (3, 2 * (height + GAP), 8 * (CELL + GAP))
    dark = (sheet[0, :: height + GAP] == 0).float().mean(1)
    assert dark[0] > 3.9 * dark[1] > 0, "eight above two"


def test_a_sheet_of_a_long_clip_shows_some_of_it(small: Small, tmp_path: Path) -> None:
    plan, folder = plan_clips(small())[0], OutputFolder(tmp_path / "bear")
    long = replace(plan, frames=plan.frames * 7)
    for place, frame in enumerate(plan.frames):
        save_image(folder.frame(frame.stem), torch.full((3, *plan.size), place / 5))
    save_image(tmp_path / "sheet.png", clip_sheet([(long, folder)]))
    assert read_image(tmp_path / "sheet.png").shape[2] == 8 * (CELL + GAP)


def test_two_processes_don_t_judge_at_once(
    made: tuple[Run, list[ClipPlan]], judges: Judges
) -> None:
    run, plans = made
    with (
        file_lock(run.folder, LOCK),
        pytest.raises(JudgingError, match="another process is judging"),
    ):
        write_report(run, plans, judges)
    assert not (run.folder / "report.json").exists()
    write_report(run, plans, judges)
    assert (run.folder / "report.json").exists()


def test_a_damaged_frame_is_another_matter(
    made: tuple[Run, list[ClipPlan]], judges: Judges
) -> None:
    run, plans = made
    frame = plans[1].folder(run.folder).frame("00002")
    frame.write_bytes(frame.read_bytes()[:90])
    with pytest.raises(MagkitError, match=r"00002\.png is damaged") as caught:
        write_report(run, plans, judges)
    assert not isinstance(caught.value, JudgingError)
    assert not (run.folder / "report.json").exists()
    assert not (run.folder / "contact.png").exists()


def test_the_networks_of_a_job_as_judges(
    small: Small, weights: dict[str, Path], tmp_path: Path
) -> None:
    targets = [
        TargetChoice("maskrcnn-small", weights=weights["maskrcnn-small"]),
        TargetChoice("segmenter", weights=weights["target"]),
    ]
    verifier = TargetChoice("segmenter", weights=weights["verifier"])
    cpu = torch.device("cpu")
    judges = Judges([load_target(each, cpu) for each in targets], load_target(verifier, cpu), cpu)
    assert [part for part, _ in judges.each()] == ["target1", "target2", "verifier"]
    done = invert(small(targets=targets[1:], frames="first"), output=tmp_path / "run")
    report = write_report(done.run, done.plans, judges)
    assert {"target1_J", "target2_J", "verifier_J", "verifier_bn"} <= report["mean"].keys()
    assert report["mean"]["steps"] == 4
    assert report["mean"]["verifier_bn"] > 0


def test_means_over_clips_weigh_clips_alike() -> None:
    clips = {"a": {"mean": {"J": 1.0, "ssim": 0.5}}, "b": {"mean": {"J": 0.0}}}
    assert mean_of_clips(clips) == {"J": 0.5, "ssim": 0.5}
