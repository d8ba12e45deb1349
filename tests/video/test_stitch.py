"""Frames strung into clips: which, in what order, at what rate, beside what."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.video import ReadOptions, WriteOptions, open_video, plain_info, write_video
from magkit.video import stitch as stitching
from magkit.video.folder import other_files
from magkit.video.frame_set import find_frames, find_panels
from magkit.video.stitch import GAP, open_stitch, parse_rate, write_stitch

SIZE = (6, 4)


def fill(folder: Path, names: Sequence[str], size: tuple[int, int] = SIZE, tone: int = 0) -> Path:
    """Grey pictures, each a little lighter than the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        Image.new("RGB", size, (tone + index,) * 3).save(folder / name)
    return folder


def job(root: Path, *clips: str) -> Path:
    for clip in clips:
        for tone, panel in enumerate(("frames", "masks", "real")):
            suffix = "jpg" if panel == "real" else "png"
            names = [f"{index:05d}.{suffix}" for index in range(3)]
            fill(root / clip / panel, names, tone=50 * tone)
    return root


# Rates


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("24", Fraction(24)),
        ("12.5", Fraction(25, 2)),
        ("29.97", Fraction(30000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        ("2997/100", Fraction(2997, 100)),
        (" 25. ", Fraction(25)),
        ("0.001", Fraction(1, 1000)),
    ],
)
def test_rates(text: str, rate: Fraction) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "1/0", "0/5", "nan", "fast", "1e400", "24fps", "1001", "0.0009", "٢٤"]
)
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(UsageError, match="frame rate"):
        parse_rate(text)


# Where frames are


def test_frames_are_found_in_a_folder_a_clip_and_a_job(tmp_path: Path) -> None:
    frames = tmp_path / "job" / "bear" / "frames"
    job(tmp_path / "job", "bear")
    (tmp_path / "job" / "notes").mkdir()
    job(tmp_path / "job", ".half")
    assert find_frames(frames) == (frames, "frames")
    assert find_frames(frames.parent) == (frames, "bear")
    assert find_frames(tmp_path / "job") == (frames, "bear")


def test_a_contact_sheet_is_no_frame_of_a_job(tmp_path: Path) -> None:
    frames = job(tmp_path, "bear") / "bear" / "frames"
    fill(tmp_path, ["contact.png"])
    assert find_frames(tmp_path) == (frames, "bear")
    fill(frames.parent, ["contact.png"])
    assert find_frames(frames.parent) == (frames, "bear")
    fill(tmp_path, ["00000.png"])
    assert find_frames(tmp_path) == (tmp_path, tmp_path.name)
    sheet = fill(tmp_path / "alone", ["contact.png"])
    assert find_frames(sheet) == (sheet, "alone")


def test_of_a_sweep_one_clip_must_be_named(tmp_path: Path) -> None:
    job(tmp_path / "bn=1", "bear")
    fill(tmp_path, ["contact.png"])
    with pytest.raises(MagkitError, match="holds no numbered frames") as caught:
        find_frames(tmp_path)
    assert caught.value.hint == f"name one folder: magkit stitch {tmp_path / 'bn=1' / 'bear'}"


def test_of_pictures_of_classes_one_class_must_be_named(tmp_path: Path) -> None:
    birds = fill(tmp_path / "classes" / "bird", ["00.png", "01.png"])
    fill(tmp_path, ["contact.png"])
    with pytest.raises(MagkitError, match="holds no numbered frames") as caught:
        find_frames(tmp_path)
    assert caught.value.hint == f"name one folder: magkit stitch {birds}"
    assert find_frames(birds) == (birds, "bird")
    with pytest.raises(MagkitError) as caught:
        find_frames(tmp_path / "classes")
    assert caught.value.hint == f"name one folder: magkit stitch {birds}"


def test_numbered_frames_are_taken_whatever_lies_below(tmp_path: Path) -> None:
    fill(tmp_path, ["00.png"])
    fill(tmp_path / "a" / "b", ["00.png"])
    hidden = tmp_path / "closed"
    hidden.mkdir(mode=0)
    assert find_frames(tmp_path) == (tmp_path, tmp_path.name)
    hidden.chmod(0o700)


def test_of_several_clips_one_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="several clips: bear, cows") as caught:
        find_frames(job(tmp_path / "job", "cows", "bear"))
    assert caught.value.hint == f"name one: magkit stitch {tmp_path / 'job' / 'bear'}"


def test_folders_without_frames(tmp_path: Path) -> None:
    (tmp_path / "bear").mkdir()
    (tmp_path / "text").write_text("")
    for name, sentence in (("bear", "no frames"), ("text", "is a file"), ("bare", "not exist")):
        with pytest.raises(MagkitError, match=sentence):
            find_frames(tmp_path / name)
    with pytest.raises(MagkitError) as caught:
        find_frames(tmp_path / "bare")
    assert "did you mean 'bear'?" in caught.value.hint
    with pytest.raises(MagkitError, match="does not exist"):
        find_frames(tmp_path / "nowhere" / "at" / "all")


def test_panels_stand_beside_the_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = job(tmp_path, "bear") / "bear"
    names = ["real", "frames", "real"]
    assert find_panels(clip / "frames", names) == [clip / name for name in names]
    monkeypatch.chdir(clip / "frames")
    assert find_panels(Path(), names) == [clip / name for name in names]
    for absent in ("seen", "..", "../bear", ""):
        with pytest.raises(UsageError, match=f"panels '{absent}'"):
            find_panels(clip / "frames", ["real", absent])


def test_foreign_entries(tmp_path: Path) -> None:
    fill(tmp_path, ["1.png"])
    for name in ("a.txt", ".hidden", "magkit.json", "b.gif"):
        (tmp_path / name).write_text("")
    (tmp_path / "3.png").mkdir()
    assert [path.name for path in other_files(tmp_path)] == ["3.png", "a.txt", "b.gif"]


# Strips


def tones(strip: stitching.Stitch) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in strip]


def test_frames_come_in_natural_order_at_the_default_rate(tmp_path: Path) -> None:
    strip = open_stitch(fill(tmp_path / "a", ["8.png", "9.png", "10.png", "11.jpg"]))
    assert tones(strip) == [0, 1, 2, 3]
    assert strip.info == plain_info(*SIZE, Fraction(24), 4)
    assert (strip.name, strip.missing.count, strip.foreign, strip.unmatched) == ("a", 0, (), ())


def test_rate_and_colours_are_the_sidecars(tmp_path: Path) -> None:
    info = replace(
        plain_info(*SIZE, Fraction(30000, 1001), 3),
        color_range="pc",
        color_matrix="bt470bg",
        pixel_aspect=Fraction(7, 6),
    )
    frames = [np.full((4, 6, 3), 90 + index, np.uint8) for index in range(3)]
    write_video(tmp_path / "frames", frames, info)
    strip = open_stitch(tmp_path / "frames")
    assert strip.info == info
    assert np.array_equal(list(strip), frames)
    assert open_stitch(tmp_path / "frames", ReadOptions(rate=Fraction(5))).info == replace(
        info, rate=Fraction(5)
    )


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov", ".mkv", ".webm", ".gif", ""])
@pytest.mark.parametrize("size", [(6, 4), (7, 5)])
def test_every_container_keeps_count_rate_and_size(
    tmp_path: Path, suffix: str, size: tuple[int, int]
) -> None:
    names = [f"{index}.png" for index in range(12)]
    strip = open_stitch(fill(tmp_path / "in", names, size), ReadOptions(rate=Fraction(25)))
    heard: list[tuple[int, int | None]] = []
    output = tmp_path / f"out{suffix}"
    assert write_stitch(strip, output, progress=lambda *at: heard.append(at)) == 12
    video = open_video(output)
    assert [frame.shape for frame in video] == [(size[1], size[0], 3)] * 12
    assert video.info.rate == 25
    assert heard == [(done, 12) for done in range(1, 13)]


def test_a_gap_is_refused_or_passed_over(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a", ["00001.png", "00003.png", "00004.png", "00007.png"])
    with pytest.raises(MagkitError, match=r"missing from .*a: 2, 5, 6$") as caught:
        open_stitch(folder)
    assert "--gaps" in caught.value.hint
    strip = open_stitch(folder, ReadOptions(gaps=True))
    assert tones(strip) == [0, 1, 2, 3]
    assert strip.missing.first(9) == [2, 5, 6]


def test_a_pattern_leaves_pictures_out(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a", ["1.png", "2.png"])
    fill(folder, ["1.jpg", "2.JPG"], (9, 4), 100)
    with pytest.raises(MagkitError, match=r"1\.jpg and 1\.png"):
        open_stitch(folder)
    strip = open_stitch(folder, ReadOptions(pattern="*.jpg"))
    assert tones(strip) == [100, 101]
    assert strip.info.width == 9
    beside = open_stitch(folder, ReadOptions(pattern="*.jpg"), panels=["a"])
    assert beside.info.width == 9


def test_the_times_of_frames_are_the_sidecars(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a", ["1.png", "2.png"])
    (folder / "magkit.json").write_text('{"times": [0, 0.5, 2]}')
    assert open_stitch(folder).info.times == (0, 0.5, 2)
    assert open_stitch(folder, ReadOptions(rate=Fraction(5))).info.times is None


def test_frames_of_a_kind_that_is_not_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.jxl").write_bytes(b"")
    with pytest.raises(MagkitError, match=r"IMG_1\.jxl is JPEG XL"):
        open_stitch(tmp_path)
    fill(tmp_path, ["IMG_2.jpg"])
    with pytest.raises(MagkitError, match=r"IMG_1\.jxl is JPEG XL"):
        open_stitch(tmp_path)


def test_mixed_sizes_are_refused_by_name(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a", ["1.png", "2.png"])
    fill(folder, ["3.png"], (9, 4))
    with pytest.raises(MagkitError, match=r"3\.png is 9x4, not 6x4"):
        open_stitch(folder)
    other = fill(tmp_path / "b", ["1.png", "2.png"])
    with pytest.raises(MagkitError, match=r"a.3\.png is 9x4"):
        open_stitch(fill(other, ["3.png"]), others=[folder])


def test_pictures_stand_side_by_side_in_the_order_given(tmp_path: Path) -> None:
    names = ["a1.png", "a2.png"]
    first = fill(tmp_path / "first", names, (6, 4), 0)
    second = fill(tmp_path / "second", ["a01.jpg", "a02.jpg"], (3, 4), 100)
    third = fill(tmp_path / "third", [*names, "a3.png"], (5, 2), 200)
    (third / "notes.txt").write_text("")
    strip = open_stitch(first, others=[second, third])
    frames = list(strip)
    starts = [0, 6 + GAP, 6 + GAP + 3 + GAP]
    assert strip.info == plain_info(starts[2] + 10, 4, Fraction(24), 2)
    for index, frame in enumerate(frames):
        assert frame.shape == (4, strip.info.width, 3)
        for start, width, tone in zip(starts, (6, 3, 10), (0, 100, 200), strict=True):
            assert (frame[:, start : start + width] == tone + index).all()
        assert (frame[:, 6 : 6 + GAP] == 255).all()
        assert (frame[:, starts[2] - GAP : starts[2]] == 255).all()
    assert strip.foreign == (third / "notes.txt",)
    assert strip.unmatched == (third / "a3.png",)
    assert strip.folders == (first, second, third)


def test_pictures_are_scaled_between_the_centres_of_pixels(tmp_path: Path) -> None:
    first = fill(tmp_path / "first", ["1.png"], (1, 4))
    small = np.zeros((2, 2, 3), np.uint8)
    small[:, 1] = 200
    (tmp_path / "second").mkdir()
    Image.fromarray(small).save(tmp_path / "second" / "1.png")
    (frame,) = open_stitch(first, others=[tmp_path / "second"])
    # Twice as large, the centres of pixels lie at -1/4, 1/4, 3/4 and 5/4 of the way.
    assert frame[2, 1 + GAP :, 0].tolist() == [0, 50, 150, 200]


def test_panels_take_the_place_of_the_frames_and_others_follow(tmp_path: Path) -> None:
    clip = job(tmp_path, "bear") / "bear"
    strip = open_stitch(tmp_path, panels=["masks", "frames"], others=[clip / "real"])
    assert strip.name == "bear"
    columns = [0, 6 + GAP, 2 * (6 + GAP)]
    assert [[int(frame[0, x, 0]) for x in columns] for frame in strip] == [
        [50 + index, index, 100 + index] for index in range(3)
    ]
    alone = open_stitch(clip, panels=["real"])
    assert tones(alone) == [100, 101, 102]
    assert alone.folders == (clip / "frames", clip / "real")


def test_every_frame_needs_its_picture_in_the_other_folders(tmp_path: Path) -> None:
    first = fill(tmp_path / "first", ["001.png", "002.png", "003.png"])
    second = fill(tmp_path / "second", ["1.png", "3.png"])
    with pytest.raises(MagkitError, match=r"second has no pictures named 002$"):
        open_stitch(first, others=[second])
    fill(second, ["2.png", "2.jpg"])
    with pytest.raises(MagkitError, match=r"2\.jpg and 2\.png are both frame 2"):
        open_stitch(first, others=[second])


def test_a_strip_has_a_widest(tmp_path: Path) -> None:
    first = fill(tmp_path / "first", ["1.png"], (2, 1000))
    second = fill(tmp_path / "second", ["1.png"], (100, 1))
    with pytest.raises(UsageError, match="100006 pixels wide"):
        open_stitch(first, others=[second])


def test_one_picture_of_each_folder_is_read_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from magkit.video import folder as folders
    from magkit.video.pictures import read_picture

    read: list[str] = []
    real: Callable[..., NDArray[np.uint8]] = read_picture

    def reading(path: Path, *how: Any, **more: Any) -> NDArray[np.uint8]:
        read.append(f"{path.parent.name}/{path.name}")
        return real(path, *how, **more)

    monkeypatch.setattr(folders, "read_picture", reading)
    names = [f"{index}.png" for index in range(50)]
    frames = iter(open_stitch(fill(tmp_path / "a", names), others=[fill(tmp_path / "b", names)]))
    assert read == []
    next(frames)
    next(frames)
    assert read == ["a/0.png", "b/0.png", "a/1.png", "b/1.png"]


def test_a_damaged_picture_leaves_nothing(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a", ["1.png", "2.png"])
    noise = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    Image.fromarray(noise).save(folder / "3.png")
    content = (folder / "3.png").read_bytes()
    (folder / "3.png").write_bytes(content[: len(content) // 2])
    strip = open_stitch(folder)
    for name in ("out.mp4", "out"):
        with pytest.raises(MagkitError, match=r"3\.png is damaged"):
            write_stitch(strip, tmp_path / name)
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("inside", [".", "out.mp4", "new/out.mp4", "../b/out.mp4", "../b"])
def test_nothing_is_written_into_a_folder_that_is_read(tmp_path: Path, inside: str) -> None:
    first, second = fill(tmp_path / "a", ["1.png"]), fill(tmp_path / "b", ["1.png"])
    strip = open_stitch(first, others=[second])
    with pytest.raises(UsageError, match="would be written into"):
        write_stitch(strip, first / inside, WriteOptions(overwrite=True))
    assert [path.name for path in (*first.iterdir(), *second.iterdir())] == ["1.png"] * 2


def test_a_link_to_a_folder_that_is_read_is_that_folder(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a", ["1.png"])
    try:
        (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    for name in ("link", "link/out.mp4"):
        with pytest.raises(UsageError, match="would be written into"):
            write_stitch(open_stitch(folder), tmp_path / name, WriteOptions(overwrite=True))
    assert [path.name for path in folder.iterdir()] == ["1.png"]


def test_real_frames_beside_their_masks(data_root: Path, tmp_path: Path) -> None:
    davis = data_root / "davis"
    pictures, masks = davis / "JPEGImages" / "480p" / "bear", davis / "Annotations/480p/bear"
    strip = open_stitch(pictures, others=[masks])
    assert (strip.info.width, strip.info.height, strip.info.frames) == (854 * 2 + GAP, 480, 82)
    first = next(iter(strip))
    assert np.array_equal(first[:, :854], next(iter(open_video(pictures))))
    assert np.array_equal(first[:, 854 + GAP :], next(iter(open_video(masks))))
