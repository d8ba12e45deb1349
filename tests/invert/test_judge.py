"""What judges say of frames, by judges whose verdict is known."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from magkit.invert.frames_on_disk import OutputFolder, read_image, save_image
from magkit.invert.job import Job, plan_clips
from magkit.invert.judge import (
    Judges,
    bn_distance,
    control_pictures,
    judge_clip,
    mean_scores,
    real_frame,
    score_frame,
)
from magkit.invert.plan import ClipPlan
from magkit.invert.targets.load import LoadedTarget
from magkit.protocols import Annotation, Statistic

Small = Callable[..., Job]


@dataclass
class Seer:
    """Takes what is bright in red, green or blue for an object of that channel's class."""

    classes: Sequence[str] = ("bear", "cow", "dog")
    score: float = 0.9
    shown: list[Tensor] = field(default_factory=list)

    def predict(self, images_NCHW: Tensor) -> list[list[Annotation]]:
        self.shown.extend(images_NCHW)
        return [
            [
                Annotation(name, (channel > 0.9).float(), self.score)
                for name, channel in zip(self.classes, each, strict=False)
                if (channel > 0.9).any()
            ]
            for each in images_NCHW
        ]


def chosen(seer: Any, statistics: Sequence[Statistic] = ()) -> LoadedTarget:
    return LoadedTarget("seer", seer, 1.0, statistics)


def judges(*seers: Seer, verifier: Seer | None = None) -> Judges:
    targets = [chosen(seer) for seer in seers or (Seer(),)]
    return Judges(targets, chosen(verifier or Seer()), torch.device("cpu"))


@pytest.fixture(autouse=True)
def few_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judges take their time."""
    monkeypatch.setattr("magkit.invert.judge.CONTROLS", 1)


@pytest.fixture
def plan(small: Small) -> ClipPlan:
    """Of `bear`, as large as its masks."""
    return plan_clips(small({"size": 0}))[0]


def painted(plan: ClipPlan, place: int, *, channel: int = 0) -> Tensor:
    """A picture that is bright where the objects are, in one channel."""
    found = torch.full((3, *plan.size), 0.1)
    found[channel][plan.masks(place).any(0)] = 1.0
    return found


def write(plan: ClipPlan, folder: OutputFolder, paint: Callable[[int], Tensor]) -> OutputFolder:
    for place, frame in enumerate(plan.frames):
        save_image(folder.frame(frame.stem), paint(place))
    return folder


def test_a_judge_that_sees_the_true_masks_finds_them(plan: ClipPlan, tmp_path: Path) -> None:
    folder = write(plan, OutputFolder(tmp_path), lambda n: painted(plan, n))
    done: list[int] = []
    found = judge_clip(plan, folder, judges(), done.append)
    assert done == [1, 2, 3, 4, 5]
    assert [row["frame"] for row in found["frames"]] == [f"{n:05d}" for n in range(5)]
    for row in [found["mean"], *found["frames"]]:
        for part in ("target", "verifier"):
            assert row[f"{part}_J"] == row[f"{part}_F"] == 1
            assert row[f"{part}_score"] == pytest.approx(0.9)
    assert found["mean"]["colours"] > 0.9, "the real frames are of noise"


def test_a_judge_that_sees_half_of_an_object(plan: ClipPlan) -> None:
    shown = painted(plan, 0)
    shown[0, :, :25] = 0.1  # the object is 30 wide, from column 10 on
    found = score_frame(plan, 0, shown, judges())
    assert found["target_J"] == pytest.approx(15 / 30)
    assert 0 < found["target_F"] < 1


@pytest.mark.parametrize(
    ("seer", "channel"),
    [
        (Seer(score=0.4), 0),
        (Seer(), 1),
        (Seer(), 2),
    ],
    ids=["unsure", "a cow", "a dog"],
)
def test_what_is_not_found(plan: ClipPlan, seer: Seer, channel: int) -> None:
    found = score_frame(plan, 0, painted(plan, 0, channel=channel), judges(seer))
    assert found["target_J"] == found["target_F"] == found["target_score"] == 0


def test_any_class_counts_where_none_is_asked_for(small: Small) -> None:
    plan = plan_clips(small({"size": 0}, classes=["any"]))[0]
    found = score_frame(plan, 0, painted(plan, 0, channel=2), judges())
    assert found["target_J"] == 1


def test_of_a_class_that_a_judge_does_not_know_it_says_nothing(plan: ClipPlan) -> None:
    birds = Seer(classes=("bird",))
    found = score_frame(plan, 0, painted(plan, 0), judges(Seer(), verifier=birds))
    assert math.isnan(found["verifier_J"])
    assert math.isnan(found["verifier_F"])
    assert found["target_J"] == 1


def test_each_of_several_objects_counts_alike(small: Small) -> None:
    plan = plan_clips(small({"size": 0}, videos=["two-dogs"], classes=["bear", "cow"]))[0]
    shown = torch.full((3, *plan.size), 0.1)
    shown[0][plan.masks(1)[0]] = 1.0
    found = score_frame(plan, 1, shown, judges())
    assert found["target_J"] == 0.5
    shown[1][plan.masks(1)[1]] = 1.0
    found = score_frame(plan, 1, shown, judges())
    assert found["target_J"] == found["target_F"] == 1
    assert "ssim" not in found, "there are no real frames"


def test_frames_that_show_no_object_do_not_count(small: Small, tmp_path: Path) -> None:
    plan = plan_clips(small({"size": 0}, videos=["cows"]))[0]
    folder = write(plan, OutputFolder(tmp_path), lambda n: painted(plan, n, channel=1))
    found = judge_clip(plan, folder, judges())
    assert math.isnan(found["frames"][1]["target_J"])
    assert found["mean"]["target_J"] == 1
    assert found["controls"]["flat mask"]["target_J"] == 0


def test_several_targets_have_figures_of_their_own(plan: ClipPlan) -> None:
    blind = Seer(score=0.0)
    found = score_frame(plan, 0, painted(plan, 0), judges(Seer(), blind))
    assert (found["target1_J"], found["target2_J"], found["verifier_J"]) == (1, 0, 1)
    assert "target_J" not in found


def test_the_controls(plan: ClipPlan, tmp_path: Path) -> None:
    made = control_pictures(plan, 2)
    assert list(made) == ["noise", "flat mask", "cut-out", "real frame"]
    true, mask = real_frame(plan, 2), plan.masks(2).any(0)
    assert true is not None
    path = plan.frames[2].image
    assert path is not None
    assert torch.equal(made["real frame"], read_image(path)), "of one size"
    assert torch.equal(made["cut-out"][:, mask], true[:, mask])
    assert not torch.equal(made["cut-out"][:, ~mask], true[:, ~mask])
    flat = made["flat mask"]
    assert all(float(part.max() - part.min()) == 0 for part in (flat[:, mask], flat[:, ~mask]))
    assert float(flat[:, mask].max()) < float(flat[:, ~mask].min())
    assert all(each.shape == (3, *plan.size) for each in made.values())
    assert all(0 <= each.min() <= each.max() <= 1 for each in made.values())
    again = control_pictures(plan, 2)
    assert all(torch.equal(each, again[name]) for name, each in made.items())
    other = control_pictures(plan, 3)
    assert not torch.equal(other["noise"], made["noise"])
    found = judge_clip(
        plan, write(plan, OutputFolder(tmp_path), lambda n: painted(plan, n)), judges()
    )
    assert list(found["controls"]) == list(made)
    assert found["controls"]["real frame"]["ssim"] == pytest.approx(1)
    assert found["controls"]["real frame"]["colours"] == 0


def test_without_real_frames_there_are_fewer_controls(small: Small, tmp_path: Path) -> None:
    plan = plan_clips(small({"size": 0}, videos=["two-dogs"]))[0]
    found = judge_clip(
        plan, write(plan, OutputFolder(tmp_path), lambda n: painted(plan, n)), judges()
    )
    assert list(found["controls"]) == ["noise", "flat mask"]
    assert math.isnan(found["flicker"]["real"])


def test_controls_are_made_for_few_frames_of_a_long_clip(
    plan: ClipPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("magkit.invert.judge.CONTROLS", 2)
    folder, verifier = write(plan, OutputFolder(tmp_path), lambda n: painted(plan, n)), Seer()
    judge_clip(plan, folder, judges(verifier=verifier))
    assert len(verifier.shown) == 5 + 2 * 4
    first, last = (control_pictures(plan, n)["real frame"] for n in (0, 4))
    assert sum(torch.equal(first, each) for each in verifier.shown) == 1
    assert sum(torch.equal(last, each) for each in verifier.shown) == 1


def test_flicker_is_what_the_background_changes(plan: ClipPlan, tmp_path: Path) -> None:
    still = write(plan, OutputFolder(tmp_path / "still"), lambda _: torch.full((3, 64, 96), 0.4))
    assert judge_clip(plan, still, judges())["flicker"]["made"] == 0
    levels = [0.0, 0.2, 1.0, 0.4, 0.4]

    def blinking(place: int) -> Tensor:
        shown = torch.full((3, 64, 96), levels[place])
        shown[:, plan.masks(place).any(0)] = 0.77  # objects don't count
        return shown

    found = judge_clip(plan, write(plan, OutputFolder(tmp_path / "blink"), blinking), judges())
    assert found["flicker"]["made"] == pytest.approx((0.2 + 0.8 + 0.6 + 0.0) / 4, abs=1e-6)
    assert 0.2 < found["flicker"]["real"] < 0.4, "even noise differs by a third on average"


def test_a_single_frame_does_not_flicker(small: Small, tmp_path: Path) -> None:
    plan = plan_clips(small({"size": 0}, frames="first"))[0]
    found = judge_clip(
        plan, write(plan, OutputFolder(tmp_path), lambda n: painted(plan, n)), judges()
    )
    assert math.isnan(found["flicker"]["made"])
    assert found["mean"]["target_J"] == 1


def test_steps_and_seconds_are_of_the_records(plan: ClipPlan, tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path)
    for place, frame in enumerate(plan.frames):
        record = {"steps": 10 * place, "seconds": 0.5, "start": "noise"} if place else {}
        folder.write(frame.stem, torch.zeros(3, 64, 96), record)
    found = judge_clip(plan, folder, judges())
    assert "steps" not in found["frames"][0]
    assert found["mean"]["steps"] == 25
    assert found["mean"]["seconds"] == 0.5


class Layer(nn.Module):
    """A layer that sees the picture as it is."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Rememberer(Seer):
    """Looks at pictures through a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = Layer()

    def predict(self, images_NCHW: Tensor) -> list[list[Annotation]]:
        return super().predict(self.layer(images_NCHW))


def test_the_distance_from_what_a_verifier_remembers() -> None:
    seer, shown = Rememberer(), torch.rand(3, 8, 8)
    mean, variance = torch.tensor([0.2, 0.5, 0.7]), torch.tensor([0.1, 0.2, 0.05])
    known = Statistic("layer", seer.layer, mean, variance)
    far = Statistic("head", seer.layer, mean + 9, variance, "region")
    x = shown.double().numpy().reshape(3, -1)
    mu, s2 = mean.double().numpy(), variance.double().numpy() + 1e-5
    spread = np.sqrt(x.var(1) + 1e-5) / np.sqrt(s2)
    expected = ((x.mean(1) - mu) ** 2 / s2 + (spread - 1) ** 2).mean()
    found = bn_distance(chosen(seer, [known, far]), shown)
    assert found == pytest.approx(expected, rel=1e-4), "heads that see regions don't count"
    assert math.isnan(bn_distance(chosen(seer), shown))


@given(st.lists(st.one_of(st.none(), st.just(math.nan), st.floats(-1e3, 1e3)), max_size=8))
def test_means_leave_out_what_is_no_number(values: list[float | None]) -> None:
    rows = [{"frame": "a", "J": value, "F": 1} for value in values]
    numbers = [v for v in values if v is not None and not math.isnan(v)]
    found = mean_scores(rows)
    assert ("J" in found) == bool(numbers)
    assert "frame" not in found
    if numbers:
        assert found["J"] == pytest.approx(float(np.mean(numbers)), abs=1e-9)


def test_means_of_rows_that_know_different_things() -> None:
    assert mean_scores([{"J": 1.0}, {"J": 0.0, "ssim": 0.25}, {}]) == {"J": 0.5, "ssim": 0.25}
