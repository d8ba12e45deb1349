"""Folders laid out like DAVIS: YouTube-VOS without a resolution, SAM 2 with a folder an object."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.invert.davis import find_davis, list_videos, open_masks, open_video_masks
from magkit.invert.davis_root import PICTURES, video_folders
from magkit.invert.masks import read_frame_masks
from magkit.invert.plan import plan_clip
from magkit.invert.settings import make_settings
from magkit.video.formats import SUFFIXES

SIZE = (40, 60)  # height, width
LEFT, RIGHT, OVER = (slice(5, 30), slice(4, 24)), (slice(10, 35), slice(30, 55)), np.s_[8:20, 18:40]


def mask(*places: tuple[slice, slice], value: int = 255) -> NDArray[np.uint8]:
    pixels = np.zeros(SIZE, np.uint8)
    for place in places:
        pixels[place] = value
    return pixels


def save(path: Path, pixels: NDArray[np.uint8], *, palette: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette:
        image = image.convert("P")
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    image.save(path)
    return path


@pytest.fixture
def vos(tmp_path: Path) -> Path:
    """Two videos as YouTube-VOS has them: every fifth frame, palettes."""
    root = tmp_path / "train"
    for video, numbers in {"0a49f5265b": (0, 5, 10), "003234408d": (20, 25)}.items():
        for number in numbers:
            name = f"{video}/{number:05d}"
            both = np.maximum(mask(LEFT, value=1), mask(RIGHT, value=2))
            save(root / "Annotations" / f"{name}.png", both, palette=True)
            save(root / "JPEGImages" / f"{name}.jpg", mask())
    return root


@pytest.fixture
def sam(tmp_path: Path) -> Path:
    """A video of two objects as SAM 2 writes them: the second appears in frame 1, and overlaps."""
    root = tmp_path / "sam"
    for number in range(3):
        save(root / f"Annotations/dog/000/{number:05d}.png", mask(LEFT, value=1), palette=True)
        save(root / f"JPEGImages/dog/{number:05d}.jpg", mask())
    for number in (1, 2):
        save(root / f"Annotations/dog/001/{number:05d}.png", mask(OVER))
    return root


def test_videos_without_a_resolution(vos: Path) -> None:
    assert find_davis(vos, {}) == vos
    assert list_videos(vos) == ["0a49f5265b", "003234408d"]  # numbers count
    assert {path.name for path in video_folders(vos)} == set(list_videos(vos))
    clip = open_video_masks(vos, "0a49f5265b")
    assert [(f.number, f.stem) for f in clip.frames] == [(0, "00000"), (1, "00005"), (2, "00010")]
    for frame in clip.frames:
        assert frame.mask == vos / "Annotations/0a49f5265b" / f"{frame.stem}.png"
        assert frame.image == vos / "JPEGImages/0a49f5265b" / f"{frame.stem}.jpg"
        assert list(read_frame_masks(frame)[1]) == [1, 2]
    with pytest.raises(UsageError, match="no video 'bear'"):
        open_video_masks(vos, "bear")


def test_it_is_found_in_the_usual_places_too(vos: Path, tmp_path: Path) -> None:
    vos.rename(tmp_path / "DAVIS")
    assert find_davis(None, {}, tmp_path) == tmp_path / "DAVIS"


def test_frames_without_masks_are_told(vos: Path) -> None:
    (vos / "Annotations").rename(vos / "elsewhere")
    assert find_davis(vos, {}) == vos
    with pytest.raises(MagkitError, match="holds no masks"):
        list_videos(vos)


def test_a_folder_for_each_object(sam: Path) -> None:
    assert find_davis(sam, {}) == sam
    assert list_videos(sam) == ["dog"]
    clip = open_video_masks(sam, "dog")
    masks = sam / "Annotations" / "dog"
    assert [f.files for f in clip.frames] == [
        (masks / "000" / "00000.png",),
        *((masks / "000" / f"0000{n}.png", masks / "001" / f"0000{n}.png") for n in (1, 2)),
    ]
    assert [f.image and f.image.name for f in clip.frames] == [f"0000{n}.jpg" for n in range(3)]
    assert [list(read_frame_masks(f)[1]) for f in clip.frames] == [[1], [1, 2], [1, 2]]
    assert {read_frame_masks(f)[0] for f in clip.frames} == {SIZE}
    first, second = read_frame_masks(clip.frames[1])[1].values()
    assert np.array_equal(first, mask(LEFT) > 0)
    assert np.array_equal(second, mask(OVER) > 0), "where objects overlap, both are there"
    assert 2 not in read_frame_masks(clip.frames[0])[1]


def test_a_plan_of_objects_in_folders(sam: Path) -> None:
    settings = make_settings("thesis", {"size": 0})
    plan = plan_clip(open_video_masks(sam, "dog"), "all", ("dog", "bear"), settings, {})
    assert (plan.objects, plan.classes) == ((1, 2), ("dog", "bear"))
    assert [[a.label for a in plan.annotations(n)] for n in range(2)] == [["dog"], ["dog", "bear"]]
    assert np.array_equal(plan.masks(2)[1].numpy(), mask(OVER) > 0)


def test_folders_of_objects_below_a_resolution_and_by_themselves(sam: Path) -> None:
    whole = open_masks(sam / "Annotations" / "dog")
    assert [len(frame.files) for frame in whole.frames] == [1, 2, 2]
    (sam / "Annotations").rename(sam / "480p")
    (sam / "Annotations").mkdir()
    (sam / "480p").rename(sam / "Annotations" / "480p")
    clip = open_video_masks(sam, "dog")
    assert [len(frame.files) for frame in clip.frames] == [1, 2, 2]
    assert clip.frames[0].image, "frames may lie without a resolution all the same"


def test_objects_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        save(tmp_path / f"clip/{number}/7.png", mask(LEFT))
    (frame,) = open_masks(tmp_path / "clip").frames
    assert [(label, path.parent.name) for label, path in frame.objects] == [
        (1, "1"),
        (2, "9"),
        (3, "10"),
    ]


def test_two_layouts_at_once_are_refused(vos: Path, sam: Path) -> None:
    save(vos / "Annotations/480p/bear/00000.png", mask(LEFT))
    with pytest.raises(MagkitError, match="480p") as refused:
        list_videos(vos)
    assert any(video in refused.value.message for video in ("003234408d", "0a49f5265b"))
    save(sam / "Annotations/dog/00000.png", mask(LEFT))
    with pytest.raises(MagkitError, match="000, 001"):
        open_video_masks(sam, "dog")


def test_objects_that_do_not_go_together_are_refused(sam: Path) -> None:
    small = save(sam / "Annotations/dog/001/00001.png", mask()[:20])
    (frame,) = (f for f in open_video_masks(sam, "dog").frames if f.stem == "00001")
    with pytest.raises(MagkitError, match="60x20") as refused:
        read_frame_masks(frame)
    assert str(small) in refused.value.message
    save(sam / "Annotations/dog/1/00001.png", mask(LEFT))
    with pytest.raises(MagkitError, match="001 and 1"):
        open_video_masks(sam, "dog")


def test_more_objects_than_can_be_are_refused(tmp_path: Path) -> None:
    for number in range(65):
        save(tmp_path / f"clip/{number:03d}/0.png", mask(LEFT))
    with pytest.raises(MagkitError, match="65"):
        open_masks(tmp_path / "clip")


def test_jpegs_of_objects_are_refused(sam: Path) -> None:
    save(sam / "Annotations/dog/001/00000.jpg", mask(LEFT))
    with pytest.raises(MagkitError, match=r"00000\.jpg is a JPEG"):
        open_video_masks(sam, "dog")


def test_folders_that_are_no_numbers_are_no_objects(tmp_path: Path) -> None:
    save(tmp_path / "root/Annotations/720p/bear/00000.png", mask(LEFT))
    with pytest.raises(UsageError, match="no folder of DAVIS"):
        find_davis(tmp_path / "root", {})


@pytest.mark.parametrize("given", ["", "train/Annotations", "train/Annotations/0a49f5265b"])
def test_a_folder_too_high_or_too_low_is_told_the_right_one(vos: Path, given: str) -> None:
    with pytest.raises(UsageError) as refused:
        find_davis(vos.parent / given, {})
    assert f"{vos}?" in refused.value.hint


def test_suffixes_are_those_of_frames() -> None:
    # AVIF and HEIC are frames where an optional decoder is installed.
    assert SUFFIXES - {".avif", ".heic", ".heif", ".hif"} == PICTURES
