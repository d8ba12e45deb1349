"""Frames of a clip: stopped in their middle, damaged, without an object, from noise in batches."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from magkit.errors import MagkitError, UsageError
from magkit.invert import optimizer
from magkit.invert.affine import TemporalPrior, mix_priors
from magkit.invert.frames_on_disk import OutputFolder, read_image
from magkit.invert.job import Job, invert
from magkit.invert.optimize import OptimState, negligible_terms
from magkit.invert.targets.segmenter import SegmenterTarget
from magkit.runtime.shard import Shard

Small = Callable[..., Job]
Frames = Callable[[Path], dict[str, bytes]]
Make = Callable[[Job, Path], dict[str, bytes]]


class KilledError(Exception):
    """The process ends here, whatever it is at."""


@pytest.fixture(scope="module")
def undisturbed(
    small: Small, tmp_path_factory: pytest.TempPathFactory, frames_in: Frames
) -> dict[str, bytes]:
    return frames_in(invert(small(frames="0-2"), output=tmp_path_factory.mktemp("made")).run.folder)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Saves after each step; counts the steps; `limit` is the one after which the process dies."""
    counts, keep = {"done": 0, "limit": -1}, OutputFolder.save_state

    def counted(folder: OutputFolder, stem: str, position: OptimState) -> None:
        keep(folder, stem, position)
        counts["done"] += 1
        if counts["done"] == counts["limit"]:
            raise KilledError

    monkeypatch.setattr(optimizer, "SAVE_INTERVAL", 0.0)
    monkeypatch.setattr(OutputFolder, "save_state", counted)
    return counts


def killed_after(limit: int, job: Job, run: Path, steps: dict[str, int]) -> Path:
    """Kills a job after some of its steps; returns the state of the frame that it was at."""
    steps |= {"done": 0, "limit": limit}
    with pytest.raises(KilledError):
        invert(job, output=run)
    steps |= {"done": 0, "limit": -1}
    (state,) = (run / "bear").glob("state-*.pt")
    return state


# Steps of the frames 0, 2 (a keyframe) and 1, in this order: 4 (stages of 2, 1 and 1), 2 and 2.
@pytest.mark.parametrize(("limit", "stem"), [(3, 0), (4, 0), (5, 2), (7, 1)])
def test_a_frame_stopped_in_its_middle_goes_on_from_there(
    small: Small,
    tmp_path: Path,
    steps: dict[str, int],
    undisturbed: dict[str, bytes],
    frames_in: Frames,
    limit: int,
    stem: int,
) -> None:
    job = small(frames="0-2")
    state = killed_after(limit, job, tmp_path / "run", steps)
    assert state.name == f"state-{stem:05d}.pt"
    assert not (tmp_path / f"run/bear/frames/{stem:05d}.png").exists()
    invert(job, output=tmp_path / "run")
    assert steps["done"] == 8 - limit, "no step is done twice"
    assert frames_in(tmp_path / "run") == undisturbed
    assert not state.exists()


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign"])
def test_a_damaged_state_costs_its_frame_alone(
    small: Small,
    tmp_path: Path,
    steps: dict[str, int],
    undisturbed: dict[str, bytes],
    frames_in: Frames,
    damage: str,
) -> None:
    job = small(frames="0-2")
    state = killed_after(7, job, tmp_path / "run", steps)
    match damage:
        case "cut":
            state.write_bytes(state.read_bytes()[:-200])
        case "foreign":
            torch.save({"weight": torch.zeros(3)}, state)
        case _:
            state.write_bytes(b"")
    invert(job, output=tmp_path / "run")
    assert steps["done"] == 2
    assert frames_in(tmp_path / "run") == undisturbed


def test_a_damaged_frame_is_named(small: Small, tmp_path: Path) -> None:
    run = tmp_path / "run"
    invert(small(), output=run, share=Shard(2, 3))
    frame = run / "bear/frames/00000.png"
    frame.write_bytes(frame.read_bytes()[:300])
    (run / "bear/frames/00001.png").unlink(missing_ok=True)
    with pytest.raises(MagkitError, match=r"00000\.png is damaged"):
        invert(small(), output=run)


def test_a_frame_is_told_before_it_is_there(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KilledError

    monkeypatch.setattr("magkit.invert.frames_on_disk.save_image", killed)
    with pytest.raises(KilledError):
        invert(small(frames="first"), output=tmp_path / "run")
    monkeypatch.undo()
    assert invert(small(frames="first"), output=tmp_path / "run").written == 1


@pytest.mark.parametrize("start", ["before", "noise"])
def test_where_the_object_vanishes_the_picture_goes_on(
    small: Small, tmp_path: Path, start: str, log: pytest.LogCaptureFixture
) -> None:
    job = small({"start": start, "keyframe": 12}, videos=["cows"])
    invert(job, output=tmp_path / "run")
    assert any("no object in frame 00001" in note for note in log.messages)
    folder = OutputFolder(tmp_path / "run" / "cows")
    told = [folder.read_record(f"{n:05d}") for n in range(3)]
    # From noise the last frame shows the object again, and starts anew.
    starts = {"before": "frame before", "noise": "noise"}
    assert [each["start"] for each in told] == ["noise", "carried", starts[start]]
    assert told[1]["steps"] == 0
    before, after = (read_image(folder.frame(f"0000{n}")) for n in (0, 1))
    away = torch.ones(64, 96, dtype=torch.bool)
    away[6:42, 6:46] = False  # the object, 26 x 30 at (10, 10), and what is beside it
    assert torch.equal(before[:, away], after[:, away])
    assert not torch.equal(before, after), "the object itself is gone"


def test_frames_from_noise_in_batches(small: Small, tmp_path: Path, frames_in: Frames) -> None:
    job = small({"start": "noise", "batch": 2}, frames="0-2")
    whole = invert(job, output=tmp_path / "whole")
    assert [len(part) for part in whole.plans[0].segments()] == [2, 1]
    folder = OutputFolder(tmp_path / "whole" / "bear")
    assert {folder.read_record(f"{n:05d}")["start"] for n in range(3)} == {"noise"}
    made = frames_in(tmp_path / "whole")
    assert len(set(made.values())) == 3
    for number in (2, 1):
        invert(job, output=tmp_path / "shared", share=Shard(number, 2))
    assert frames_in(tmp_path / "shared") == made


def test_a_batch_stopped_between_its_frames_is_made_again(
    small: Small, tmp_path: Path, frames_in: Frames, steps: dict[str, int]
) -> None:
    job = small({"start": "noise", "batch": 3}, frames="0-2")
    invert(job, output=tmp_path / "whole")
    made = frames_in(tmp_path / "whole")
    assert steps["done"] == 4, "a step moves all three"
    killed_after(2, job, tmp_path / "stopped", steps)
    invert(job, output=tmp_path / "stopped")
    assert steps["done"] == 2
    (tmp_path / "stopped/bear/frames/00001.png").unlink()
    invert(job, output=tmp_path / "stopped")
    assert frames_in(tmp_path / "stopped") == made


def test_a_batch_with_frames_that_show_nothing(
    small: Small, tmp_path: Path, frames_in: Frames
) -> None:
    made = []
    for batch in (1, 2, 3):
        job = small({"start": "noise", "batch": batch}, videos=["cows"])
        invert(job, output=tmp_path / str(batch))
        made.append(frames_in(tmp_path / str(batch)))
    assert [len(each) for each in made] == [3, 3, 3]
    assert made[0] == made[1], "0 and 2 are alone in their batches"
    invert(
        small({"start": "noise", "batch": 1}, videos=["cows"]),
        output=tmp_path / "share",
        share=Shard(2, 3),
    )
    assert frames_in(tmp_path / "share")["cows/frames/00001.png"] in made[0].values()


def test_frames_of_a_batch_keep_settings_of_their_own(small: Small, tmp_path: Path) -> None:
    tables = {"bear": {"frames": {"1": {"iterations": 8}}}}
    job = small({"start": "noise", "batch": 3}, frames="0-2", tables=tables)
    invert(job, output=tmp_path / "run")
    folder = OutputFolder(tmp_path / "run" / "bear")
    assert [folder.read_record(f"{n:05d}")["steps"] for n in range(3)] == [4, 8, 4]


def test_snapshots_show_a_frame_on_its_way(
    small: Small, tmp_path: Path, undisturbed: dict[str, bytes], frames_in: Frames
) -> None:
    invert(small(frames="0-2"), output=tmp_path / "run", snapshots=2)
    found = sorted(path.name for path in (tmp_path / "run/bear/snapshots").iterdir())
    assert found == [
        f"{name}.png" for name in ("00000-00002", "00000-00004", "00001-00002", "00002-00002")
    ]
    assert frames_in(tmp_path / "run") == undisturbed


def test_the_pull_of_each_term_is_told_once(
    small: Small, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    settings = {"var_l1": 1e4, "mask": 1.0, "bn": 1.0}
    invert(small(settings, frames="0-1"), output=tmp_path / "run")
    (pull,) = [note for note in log.messages if "gradients at the start" in note]
    assert all(f"{name} " in pull for name in ("var_l1", "mask", "bn"))
    warned = [each.getMessage() for each in log.records if each.levelno == logging.WARNING]
    assert any("bear: 'var_l1' drowns 'mask'" in text for text in warned)
    assert any("'bn'" in text for text in warned)


def test_a_picture_that_lost_its_contrast_is_told_of(
    small: Small, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    settings = {"iterations": 20, "lr": 0.3, "l2_norm": 1e3, "sizes": (1.0,), "shares": (1.0,)}
    invert(small(settings, frames="first"), output=tmp_path / "run")
    assert any("bear, frame 00000 has lost its contrast" in note for note in log.messages)
    assert float(read_image(tmp_path / "run/bear/frames/00000.png").std()) < 0.05


def test_a_loss_that_is_no_number_ends_the_job(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses, calls = SegmenterTarget.losses, []

    def broken(target: SegmenterTarget, *args: Any) -> dict[str, torch.Tensor]:
        calls.append(1)
        found = losses(target, *args)
        # The first call tells how strong the terms are; three steps follow.
        return found if len(calls) < 5 else {"mask": found["mask"] * torch.nan}

    monkeypatch.setattr(SegmenterTarget, "losses", broken)
    with pytest.raises(MagkitError, match="frame 00000: the loss is no number after 3 steps"):
        invert(small(), output=tmp_path / "run")
    assert not (tmp_path / "run/bear/frames/00000.png").exists()


def test_nothing_asked_for(small: Small, tmp_path: Path) -> None:
    nothing = dict.fromkeys(("mask", "label", "bn", "var_l1", "var_l2", "l2_norm", "colour"), 0.0)
    with pytest.raises(UsageError, match="all weights are 0: nothing is asked for"):
        invert(small(nothing), output=tmp_path / "run")


def test_negligible_terms() -> None:
    assert negligible_terms({"mask": 1.0, "bn": 0.02, "label": 1e-3}) == [
        "'mask' drowns 'label' (1 against 0.001): change the weight of one"
    ]
    assert negligible_terms({"mask": 1.0}) == []


def test_mixed_guides_take_each_others_gaps() -> None:
    def guide(value: float, known: list[float]) -> TemporalPrior:
        return TemporalPrior(
            torch.full((1, 3, 1, 4), value), torch.tensor(known).reshape(1, 1, 1, 4)
        )

    found = mix_priors(guide(1.0, [1, 1, 0, 0]), guide(3.0, [1, 0, 1, 0]), 0.25)
    assert found.pixels_N3HW[0, 0, 0].tolist() == [1.5, 1.0, 3.0, 1.0]
    assert found.known_N1HW.flatten().tolist() == [1, 1, 1, 0]


def test_a_run_moved_elsewhere_goes_on(
    small: Small, tmp_path: Path, undisturbed: dict[str, bytes], frames_in: Frames
) -> None:
    invert(small(frames="0-2"), output=tmp_path / "here", share=Shard(1, 2))
    shutil.move(tmp_path / "here", tmp_path / "there")
    invert(small(frames="0-2"), output=tmp_path / "there", share=Shard(2, 2))
    assert frames_in(tmp_path / "there") == undisturbed
    record = json.loads((tmp_path / "there/bear/records/00000.json").read_text())
    assert record["seconds"] > 0
