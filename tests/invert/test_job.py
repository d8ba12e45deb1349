"""Jobs from end to end in this process: made, shared, continued, swept, refused."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.invert import job as jobs
from magkit.invert.job import Inverted, Job, invert, plan_clips
from magkit.invert.plan import ClipPlan
from magkit.invert.targets.load import TargetChoice
from magkit.runtime.shard import Shard
from magkit.training.run import Run, open_run
from magkit.video.folder import open_folder

Small = Callable[..., Job]
Frames = Callable[[Path], dict[str, bytes]]


def records(done: Inverted[ClipPlan], clip: str = "bear") -> list[dict[str, Any]]:
    paths = sorted((done.run.folder / clip / "records").glob("*.json"))
    return [json.loads(path.read_text()) for path in paths]


@pytest.fixture(scope="module")
def undisturbed(
    small: Small, tmp_path_factory: pytest.TempPathFactory, frames_in: Frames
) -> dict[str, bytes]:
    """The frames of `bear` as one process makes them."""
    return frames_in(invert(small(), output=tmp_path_factory.mktemp("undisturbed")).run.folder)


def test_a_frame_for_each_mask(small: Small, tmp_path: Path, frames_in: Frames) -> None:
    told: list[tuple[int, int | None]] = []
    done = invert(
        small(videos=["bear", "two-dogs"]),
        output=tmp_path / "run",
        progress=lambda made, total: told.append((made, total)),
    )
    assert (done.written, done.complete) == (8, True)
    assert done.seconds > 0
    assert [plan.name for plan in done.plans] == ["bear", "two-dogs"]
    names = [f"bear/frames/{n:05d}.png" for n in range(5)]
    names += [f"two-dogs/frames/{n:05d}.png" for n in range(3)]
    made = frames_in(tmp_path / "run")
    assert list(made) == names
    assert len(set(made.values())) == 8, "all frames differ"
    info, stream = open_folder(tmp_path / "run" / "bear" / "frames")
    assert (info.width, info.height) == (96, 64)
    assert info.rate == 24
    assert len(list(stream(0, 5))) == 5
    starts = [each["start"] for each in records(done)]
    assert starts == ["noise", "frame before", "keyframe", "frame before", "keyframe"]
    assert [each["steps"] for each in records(done)] == [4, 2, 2, 2, 2]
    assert all(each["terms"]["mask"] > 0 for each in records(done))
    assert {(0, 8), (8, 8)} <= set(told)
    assert [made for made, _ in told] == sorted(made for made, _ in told)
    left = [path.name for path in (tmp_path / "run" / "bear").iterdir()]
    assert sorted(left) == ["frames", "records"], "no state, nothing temporary"


def test_the_same_job_makes_the_same_bytes(
    small: Small, tmp_path: Path, undisturbed: dict[str, bytes], frames_in: Frames
) -> None:
    again = invert(small(), output=tmp_path / "again")
    assert frames_in(again.run.folder) == undisturbed
    other = invert(small({"seed": 1}, frames="first"), output=tmp_path / "other")
    assert not set(frames_in(other.run.folder).values()) & set(undisturbed.values())


@pytest.mark.parametrize("order", [(2, 1), (3, 1, 2)])
def test_shares_together_make_what_one_process_makes(
    small: Small,
    tmp_path: Path,
    undisturbed: dict[str, bytes],
    frames_in: Frames,
    order: tuple[int, ...],
) -> None:
    last = max(order)
    shares = [
        invert(small(), output=tmp_path / "shared", share=Shard(number, last)) for number in order
    ]
    assert [done.complete for done in shares] == [number == order[-1] for number in order]
    assert frames_in(tmp_path / "shared") == undisturbed
    untold = invert(small(), output=tmp_path / "shared", share=Shard(1, 2))
    assert (untold.written, untold.complete) == (0, True)


def test_new_never_goes_on(small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    job = small(frames="first")
    folders = [invert(job, new=new).run.folder.name for new in (False, False, True)]
    assert folders == ["invert-001", "invert-001", "invert-002"]


def test_a_share_needs_a_folder_that_others_know(small: Small) -> None:
    with pytest.raises(UsageError, match="need to be told its folder"):
        invert(small(), share=Shard(1, 2))


def test_a_share_never_begins_anew(small: Small, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--new can't be shared"):
        invert(small(), output=tmp_path / "run", share=Shard(1, 2), new=True)
    assert not (tmp_path / "run").exists()


def test_a_share_that_lost_the_race_for_the_folder_joins(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*args: Any, **kwargs: Any) -> Run:
        open_run(*args, **kwargs)  # the other process is faster by this much
        monkeypatch.setattr(jobs, "open_run", open_run)
        raise MagkitError(f"{kwargs['output'] / 'config.json'} exists")

    monkeypatch.setattr(jobs, "open_run", lost)
    assert not invert(small(), output=tmp_path / "run", share=Shard(1, 2)).complete


def test_a_share_does_not_wait_for_ever(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "FOLDER_TIMEOUT", 0.3)
    (tmp_path / "diary").write_text("not a run")
    with pytest.raises(MagkitError, match="no run to resume"):
        invert(small(), output=tmp_path, share=Shard(1, 2))
    assert [path.name for path in tmp_path.iterdir()] == ["diary"]


def test_an_unfinished_run_is_found_and_a_finished_one_is_not(
    small: Small,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: dict[str, bytes],
    frames_in: Frames,
) -> None:
    monkeypatch.chdir(tmp_path)

    def stopped(made: int, _total: int | None) -> None:
        if made == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        invert(small(), progress=stopped)
    assert len(frames_in(Path("runs/invert-001"))) == 2
    assert invert(small({"seed": 1}, frames="first")).run.folder == Path("runs/invert-002")
    went_on = invert(small())
    assert (went_on.run.folder, went_on.written) == (Path("runs/invert-001"), 3)
    assert frames_in(went_on.run.folder) == undisturbed
    (Path("runs") / "invert-001" / "report.json").write_text("{}")
    assert invert(small()).run.folder == Path("runs/invert-003")
    with pytest.raises(MagkitError, match="holds a finished run"):
        invert(small(), output=Path("runs/invert-001"))
    shared = invert(small(), output=Path("runs/invert-001"), share=Shard(2, 2))
    assert (shared.written, shared.complete) == (0, True)


def test_another_job_is_refused_and_nothing_is_lost(
    small: Small, tmp_path: Path, weights: dict[str, Path], frames_in: Frames
) -> None:
    run = tmp_path / "run"
    invert(small(frames="0-1"), output=run)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    others = {
        "bn is 1.0 there, 2.0 here": small({"bn": 2}, frames="0-1"),
        "frames is": small(frames="0-2"),
        "weights": small(
            frames="0-1", targets=[TargetChoice("segmenter", weights=weights["verifier"])]
        ),
        "targets": small(
            frames="0-1",
            targets=[TargetChoice("segmenter", weight=0.5, weights=weights["target"])],
        ),
    }
    for words, other in others.items():
        with pytest.raises(MagkitError, match="holds another run") as caught:
            invert(other, output=run)
        assert words in caught.value.message
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_other_masks_are_another_job(small: Small, moving: Path, tmp_path: Path) -> None:
    masks = tmp_path / "walk"
    shutil.copytree(moving / "Annotations/480p/bear", masks)
    invert(small(masks=masks, frames="0-1"), output=tmp_path / "run")
    Image.fromarray(np.eye(64, 96, dtype=np.uint8)).save(masks / "00004.png")
    invert(small(masks=masks, frames="0-1"), output=tmp_path / "run")
    Image.fromarray(np.tri(64, 96, dtype=np.uint8)).save(masks / "00001.png")
    with pytest.raises(MagkitError, match="holds another run: masks is"):
        invert(small(masks=masks, frames="0-1"), output=tmp_path / "run")


def test_a_folder_of_masks(small: Small, moving: Path, tmp_path: Path, frames_in: Frames) -> None:
    masks = moving / "Annotations/480p/bear"
    job = small(masks=masks, frames="0-1", classes=["cow"])
    done = invert(job, output=tmp_path / "run")
    assert [plan.classes for plan in done.plans] == [("cow",)]
    assert list(frames_in(tmp_path / "run")) == ["bear/frames/00000.png", "bear/frames/00001.png"]
    with pytest.raises(UsageError, match="takes the place"):
        plan_clips(replace(job, videos=["bear"]))


def test_a_sweep_makes_a_folder_for_each_combination(
    small: Small, tmp_path: Path, frames_in: Frames
) -> None:
    sweep = {"bn": ["0.5", "2"], "iterations": ["2", "3"]}
    done = invert(small(frames="first", sweep=sweep), output=tmp_path / "swept")
    folders = [f"bn={b},iterations={n}/bear" for b in ("0.5", "2") for n in ("2", "3")]
    assert [plan.name for plan in done.plans] == folders
    made = frames_in(tmp_path / "swept")
    assert list(made) == [f"{folder}/frames/00000.png" for folder in folders]
    alone = invert(small({"bn": 2, "iterations": 3}, frames="first"), output=tmp_path / "alone")
    assert made[f"{folders[-1]}/frames/00000.png"] in frames_in(alone.run.folder).values()
    assert len(set(made.values())) == 4


def test_a_sweep_of_sizes(small: Small, tmp_path: Path) -> None:
    done = invert(small(frames="first", sweep={"size": ["32", "64"]}), output=tmp_path / "run")
    assert [plan.size for plan in done.plans] == [(32, 64), (64, 96)]
    for plan in done.plans:
        info, _ = open_folder(tmp_path / "run" / plan.name / "frames")
        assert (info.height, info.width) == plan.size


def test_tables_change_the_videos_and_frames_that_they_name(small: Small, tmp_path: Path) -> None:
    tables = {
        "bear": {
            "warm_steps": 3,
            "frames": {"1,2": {"warm_steps": 5, "keyframe_steps": 1}, "2": {"keyframe_steps": 4}},
        }
    }
    done = invert(small(videos=["bear", "two-dogs"], tables=tables), output=tmp_path / "run")
    assert [each["steps"] for each in records(done)] == [4, 10, 8, 6, 2]
    assert [each["steps"] for each in records(done, "two-dogs")] == [4, 2, 2]


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"bare": {}}, "'bare', which is not inverted"),
        ({"bear": {"wram": 3}}, "named 'wram'"),
        ({"bear": {"frames": {"0-9": {"warm_steps": 3}}}}, "frames 0-9 are asked for"),
        ({"bear": {"frames": {"1": {"wram": 3}}}}, "named 'wram'"),
        ({"bear": {"frames": {"1": {"warm_steps": 0}}}}, "warm"),
        (
            {"bear": {"frames": {"1": {"size": 32}}}},
            "'size' of frames 1 of 'bear' belongs to whole",
        ),
        ({"bear": {"frames": {"1": {"start": "noise"}}}}, "belongs to whole clips"),
    ],
)
def test_tables_that_make_no_sense(
    small: Small, tmp_path: Path, tables: Mapping[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        invert(small(tables=tables), output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_several_targets_by_their_weights(
    small: Small, tmp_path: Path, weights: dict[str, Path], frames_in: Frames
) -> None:
    made = []
    for number, share in enumerate((1.0, 9.0)):
        both = [
            TargetChoice("maskrcnn-small", weights=weights["maskrcnn-small"]),
            TargetChoice("segmenter", weight=share, weights=weights["target"]),
        ]
        done = invert(small(targets=both, frames="first"), output=tmp_path / str(number))
        assert {"maskrcnn-small mask", "segmenter mask"} <= records(done)[0]["terms"].keys()
        made.append(frames_in(done.run.folder)["bear/frames/00000.png"])
    assert made[0] != made[1]


def test_the_background_is_asked_for_too(small: Small, tmp_path: Path, frames_in: Frames) -> None:
    both = [
        invert(small({"background": on}, frames="first"), output=tmp_path / str(on))
        for on in (False, True)
    ]
    assert len({frames_in(done.run.folder)["bear/frames/00000.png"] for done in both}) == 2


def put(folder: Path, *masks: np.ndarray[Any, Any]) -> Path:
    folder.mkdir()
    for number, mask in enumerate(masks):
        Image.fromarray(mask.astype(np.uint8)).save(folder / f"{number}.png")
    return folder


def boxed(height: int, width: int, side: int = 12) -> np.ndarray[Any, Any]:
    mask = np.zeros((height, width))
    mask[4 : 4 + side, 4 : 4 + side] = 1
    return mask


def test_masks_that_make_no_sense_are_refused_before_anything_is_made(
    small: Small, tmp_path: Path
) -> None:
    good, none = boxed(64, 96), np.zeros((64, 96))
    refused = {
        "no mask of 'a' shows an object": put(tmp_path / "a", none, none),
        "the first frame's mask, is empty": put(tmp_path / "b", none, good),
        "1.png is 64x64, but the masks before it are 96x64": put(
            tmp_path / "c", good, boxed(64, 64)
        ),
        "is empty at 64 rows": put(tmp_path / "d", boxed(640, 960, side=4)),
        "holds no masks": put(tmp_path / "e"),
    }
    (put(tmp_path / "f", good, good) / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    refused["1.png"] = tmp_path / "f"
    for words, masks in refused.items():
        with pytest.raises(MagkitError) as caught:
            invert(small(masks=masks), output=tmp_path / "run")
        assert words in caught.value.message
        assert not (tmp_path / "run").exists(), words


def test_a_class_that_a_target_does_not_know_is_refused_before_anything_is_made(
    small: Small, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="knows no class 'beer'") as caught:
        invert(small(classes=["beer"]), output=tmp_path / "run")
    assert "did you mean 'bear'" in caught.value.hint
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match="shows 2 objects, and 3 classes"):
        invert(small(videos=["two-dogs"], classes=["dog"] * 3), output=tmp_path / "run")


def test_a_target_without_statistics_is_told_to_do_without(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from magkit.invert.targets.segmenter import SegmenterTarget

    monkeypatch.setattr(SegmenterTarget, "statistics", lambda _: [])
    with pytest.raises(MagkitError, match="remembers no statistics") as caught:
        invert(small(), output=tmp_path / "run")
    assert "--bn 0" in caught.value.hint
    assert not (tmp_path / "run").exists()
    assert invert(small({"bn": 0}, frames="first"), output=tmp_path / "run").complete


def test_nothing_to_invert(small: Small) -> None:
    with pytest.raises(UsageError, match="nothing is named to invert"):
        plan_clips(small(videos=[]))


def test_all_videos(small: Small) -> None:
    plans = plan_clips(small(videos=["all"], frames="first"))
    assert [plan.name for plan in plans] == ["bear", "cows", "two-dogs"]
    assert [plan.classes for plan in plans] == [("bear",), ("cow",), ("any", "any")]
    assert len(plan_clips(small(videos=["bear", "bear"]))) == 1


def test_a_target_that_takes_other_sizes_says_which(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from magkit.invert.targets.segmenter import SegmenterTarget

    monkeypatch.setattr(SegmenterTarget, "stride", 48)
    with pytest.raises(UsageError, match="sides are multiples of 48, not 96x64"):
        invert(small(), output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
