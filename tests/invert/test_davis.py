"""DAVIS is found where the user says or keeps it, and its videos by their names alone."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.invert.davis import ClipFrame, find_davis, list_videos, open_masks, open_video_masks

NOTHING: Mapping[str, str] = {}


def _davis(root: Path, kind: str = "Annotations", size: str = "480p") -> Path:
    (root / kind / size / "bear").mkdir(parents=True)
    return root


def _save(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(path)
    return path


def test_the_places_in_their_order(tmp_path: Path) -> None:
    in_data = _davis(tmp_path / "data" / "DAVIS")
    assert find_davis(None, NOTHING, tmp_path) == in_data
    beside = _davis(tmp_path / "DAVIS")
    assert find_davis(None, NOTHING, tmp_path) == beside
    named = _davis(tmp_path / "named")
    assert find_davis(None, {"MAGKIT_DAVIS": str(named)}, tmp_path) == named
    given = _davis(tmp_path / "given")
    assert find_davis(given, {"MAGKIT_DAVIS": str(named)}, tmp_path) == given
    assert find_davis(None, {"MAGKIT_DAVIS": ""}, tmp_path) == beside


def test_here_and_the_environment_are_those_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _davis(tmp_path / "DAVIS")
    assert find_davis(None).resolve() == (tmp_path / "DAVIS").resolve()
    monkeypatch.setenv("MAGKIT_DAVIS", str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="MAGKIT_DAVIS"):
        find_davis(None)


@pytest.mark.parametrize("size", ["480p", "Full-Resolution", "1080p"])
@pytest.mark.parametrize("kind", ["Annotations", "JPEGImages"])
def test_what_makes_a_folder_davis(tmp_path: Path, kind: str, size: str) -> None:
    assert find_davis(_davis(tmp_path, kind, size), NOTHING) == tmp_path


def test_nothing_found_names_all_places_and_the_way(tmp_path: Path) -> None:
    (tmp_path / "DAVIS" / "Annotations").mkdir(parents=True)
    with pytest.raises(MagkitError) as missing:
        find_davis(None, NOTHING, tmp_path)
    for place in ("--davis", "MAGKIT_DAVIS", "./DAVIS", "./data/DAVIS"):
        assert place in missing.value.message
    assert "davischallenge.org" in missing.value.hint
    assert "480p" in missing.value.hint


@pytest.mark.parametrize("name", ["nowhere", "file", "empty", "x" * 5000, "a\0b"])
@pytest.mark.parametrize("source", ["--davis", "MAGKIT_DAVIS"])
def test_what_is_named_and_is_not_davis_is_never_passed_over(
    tmp_path: Path, name: str, source: str
) -> None:
    _davis(tmp_path / "DAVIS")
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    path = tmp_path / name
    given = path if source == "--davis" else None
    with pytest.raises(UsageError, match=source) as refused:
        find_davis(given, {"MAGKIT_DAVIS": str(path)}, tmp_path)
    assert "Annotations/480p" in refused.value.hint


def test_videos_are_listed_in_natural_order(davis: Path) -> None:
    (davis / "Annotations" / "480p" / ".cache").mkdir()
    (davis / "Annotations" / "480p" / "notes.txt").write_text("")
    assert list_videos(davis) == ["bear", "clip2", "clip10", "two-dogs"]


def test_frames_without_masks_are_no_videos(tmp_path: Path) -> None:
    with pytest.raises(MagkitError, match="holds no masks"):
        list_videos(_davis(tmp_path, "JPEGImages"))


def test_a_video_with_its_real_frames(davis: Path) -> None:
    clip = open_video_masks(davis, "bear")
    masks, images = davis / "Annotations" / "480p", davis / "JPEGImages" / "480p"
    assert clip.name == "bear"
    assert clip.frames == tuple(
        ClipFrame(n, f"0000{n}", masks / "bear" / f"0000{n}.png", images / "bear" / f"0000{n}.jpg")
        for n in range(3)
    )


def test_a_video_without_real_frames(davis: Path) -> None:
    clip = open_video_masks(davis, "two-dogs")
    assert [frame.number for frame in clip.frames] == list(range(12))
    assert all(frame.image is None for frame in clip.frames)
    (davis / "JPEGImages").rename(davis / "elsewhere")
    assert open_video_masks(davis, "bear").frames[0].image is None


def test_a_frame_is_matched_by_its_name_not_by_its_place(davis: Path) -> None:
    (davis / "JPEGImages" / "480p" / "bear" / "00001.jpg").unlink()
    (davis / "Annotations" / "480p" / "bear" / "00000.png").unlink()
    clip = open_video_masks(davis, "bear")
    found = [(f.number, f.stem, f.image and f.image.name) for f in clip.frames]
    assert found == [(0, "00001", None), (1, "00002", "00002.jpg")]


def test_the_smallest_resolution_is_taken(tmp_path: Path) -> None:
    large = _save(tmp_path / "Annotations" / "Full-Resolution" / "bear" / "00000.png")
    assert open_video_masks(tmp_path, "bear").frames[0].mask == large
    small = _save(tmp_path / "Annotations" / "480p" / "bear" / "00000.png")
    frame = _save(tmp_path / "JPEGImages" / "Full-Resolution" / "bear" / "00000.jpg")
    clip = open_video_masks(tmp_path, "bear")
    assert clip.frames[0].mask == small
    assert clip.frames[0].image is None, f"{frame} has another size"


def test_an_unknown_video_suggests_the_nearest(davis: Path) -> None:
    with pytest.raises(UsageError, match="no video 'baer'") as unknown:
        open_video_masks(davis, "baer")
    assert "did you mean 'bear'?" in unknown.value.hint
    assert "clip2, clip10" in unknown.value.hint


@pytest.mark.parametrize(
    "video", ["../../../outside", "..", ".", "", "bear/../bear", "bear/", "a\\b", "x" * 9999, "a\0"]
)
def test_a_name_never_leaves_the_folder(davis: Path, video: str) -> None:
    _save(davis.parent / "outside" / "00000.png")
    with pytest.raises(UsageError, match="has no video") as refused:
        open_video_masks(davis, video)
    assert len(refused.value.message) < len(str(davis)) + 120
    absolute = str(davis.parent / "outside")
    with pytest.raises(UsageError, match="has no video"):
        open_video_masks(davis, absolute)


def test_a_folder_of_masks_of_any_kind(tmp_path: Path) -> None:
    for number, suffix in enumerate(["png", "bmp", "tif", "tiff", "webp", "PNG"]):
        _save(tmp_path / "mine" / f"m{number + 7}.{suffix}")
    (tmp_path / "mine" / "notes.txt").write_text("")
    (tmp_path / "mine" / ".m0.png").write_text("")
    clip = open_masks(tmp_path / "mine")
    assert clip.name == "mine"
    assert [frame.stem for frame in clip.frames] == ["m7", "m8", "m9", "m10", "m11", "m12"]
    assert [frame.number for frame in clip.frames] == list(range(6))
    assert all(frame.image is None for frame in clip.frames)


def test_a_folder_named_by_dots_has_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _save(tmp_path / "mine" / "a.png")
    monkeypatch.chdir(tmp_path / "mine")
    assert open_masks(Path()).name == "mine"


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG"])
def test_jpegs_are_refused_even_among_others(tmp_path: Path, name: str) -> None:
    _save(tmp_path / "b.png")
    _save(tmp_path / name)
    with pytest.raises(MagkitError, match=rf"{name} is a JPEG") as refused:
        open_masks(tmp_path)
    assert "PNG" in refused.value.hint


def test_two_masks_of_one_name_are_refused(tmp_path: Path) -> None:
    _save(tmp_path / "a.png")
    _save(tmp_path / "a.bmp")
    with pytest.raises(MagkitError, match=r"both a\.bmp and a\.png"):
        open_masks(tmp_path)


def test_folders_without_masks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MagkitError, match="holds no masks") as refused:
        open_masks(tmp_path)
    assert ".png" in refused.value.hint
    assert ".jpg" not in refused.value.hint
    with pytest.raises(MagkitError, match="is no folder"):
        open_masks(tmp_path / "nowhere")
    with pytest.raises(MagkitError, match="is no folder"):
        open_masks(_save(tmp_path / "a.png"))
    with pytest.raises(MagkitError, match="holds no masks"):
        open_video_masks(_davis(tmp_path / "DAVIS"), "bear")


def test_the_real_videos(data_root: Path) -> None:
    root = find_davis(data_root / "davis", NOTHING)
    counts = {video: len(open_video_masks(root, video).frames) for video in list_videos(root)}
    assert counts["bear"] == 82
    assert len(counts) == 9
    for video in counts:
        assert all(frame.image for frame in open_video_masks(root, video).frames)


def test_finding_and_choosing_load_no_torch() -> None:
    modules = "magkit.invert.davis, magkit.invert.davis"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
