"""Folders of frames keep every bit, and their sidecar every fact."""

import logging
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.video import (
    DEFAULT_RATE,
    ReadOptions,
    VideoInfo,
    WriteOptions,
    open_video,
    plain_info,
    write_video,
)
from magkit.video.folder import open_folder

rates = st.fractions(min_value=Fraction(1, 1000), max_value=10_000, max_denominator=1001)
shapes = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.just(3))
matrices = st.sampled_from(["smpte170m", "bt470bg", "bt709", "bt2020nc"])
standards = st.sampled_from(["unknown", "bt709", "smpte170m", "iec61966-2-4"])


@settings(max_examples=40, deadline=None)
@given(
    shapes.flatmap(lambda shape: arrays(np.uint8, shape)),
    rates,
    rates,
    st.sampled_from(["tv", "pc"]),
    matrices,
    standards,
)
def test_a_folder_gives_back_every_bit_and_every_fact(
    frames: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    rate: Fraction,
    aspect: Fraction,
    span: str,
    matrix: str,
    standard: str,
) -> None:
    count, height, width, _ = frames.shape
    info = VideoInfo(
        width,
        height,
        rate,
        count,
        pixel_aspect=aspect,
        color_range="pc" if span == "pc" else "tv",
        color_matrix=matrix,
        color_primaries=standard,
        color_transfer=standard,
    )
    with TemporaryDirectory() as root:
        folder = Path(root) / "frames"
        assert write_video(folder, list(frames), info) == count
        video = open_video(folder)
        assert video.info == info
        assert np.array_equal(np.stack(list(video)), frames)


def _save(folder: Path, name: str, pixels: object, mode: str | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(pixels))
    (image.convert(mode) if mode else image).save(folder / name)


def _read_one(folder: Path) -> list[list[int]]:
    (frame,) = open_video(folder)
    pixels: list[list[int]] = frame.reshape(-1, 3).tolist()
    return pixels


def test_a_bare_folder_plays_at_the_default_rate_in_natural_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for n in (10, 8, 9, 11):
        _save(tmp_path, f"f{n}.png", np.full((4, 6, 3), n, np.uint8))
    _save(tmp_path, ".hidden.png", np.zeros((9, 9, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("not a frame")
    with caplog.at_level(logging.INFO):
        video = open_video(tmp_path)
    assert [int(frame[0, 0, 0]) for frame in video] == [8, 9, 10, 11]
    assert video.info == plain_info(6, 4, DEFAULT_RATE, 4)
    assert DEFAULT_RATE == 24
    assert "--fps" in caplog.text
    caplog.clear()
    assert open_folder(tmp_path, ReadOptions(rate=Fraction(250)))[0].rate == 250
    assert not caplog.records


def _numbered(folder: Path, *numbers: int, suffix: str = "png") -> Path:
    for n in numbers:
        _save(folder, f"f{n}.{suffix}", np.full((4, 6, 3), n, np.uint8))
    return folder


def test_frames_that_are_there_twice_are_refused(tmp_path: Path) -> None:
    _numbered(tmp_path, 1, 2, 3)
    _numbered(tmp_path, 2, 3, suffix="jpg")
    with pytest.raises(MagkitError, match=r"f2\.jpg and f2\.png .* 2 frames"):
        open_video(tmp_path)
    _, stream = open_folder(tmp_path, ReadOptions(pattern="F*.PNG"))
    assert [int(frame[0, 0, 0]) for frame in stream(0, 3)] == [1, 2, 3]
    _save(tmp_path, "f0001.png", np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(MagkitError, match=r"f0001\.png and f1\.png"):
        open_folder(tmp_path, ReadOptions(pattern="*.png"))


def test_missing_frames_are_refused_or_leave_their_time(tmp_path: Path) -> None:
    _numbered(tmp_path, 3, 4, 7, 8)
    with pytest.raises(MagkitError, match=r": 5, 6$") as caught:
        open_video(tmp_path)
    assert "--gaps" in caught.value.hint
    info, stream = open_folder(tmp_path, ReadOptions(gaps=True))
    assert info.times == pytest.approx([0, 1 / 24, 4 / 24, 5 / 24, 6 / 24])
    assert info.frames == 4
    assert info.rate == 16
    assert [int(frame[0, 0, 0]) for frame in stream(0, 4)] == [3, 4, 7, 8]
    info, _ = open_folder(tmp_path, ReadOptions(gaps=True, rate=Fraction(10)))
    assert info.times == pytest.approx([0, 0.1, 0.4, 0.5, 0.6])
    assert open_folder(_numbered(tmp_path, 5, 6), ReadOptions(gaps=True))[0].times is None


def test_numbers_that_do_not_rise_with_the_names_give_no_times(tmp_path: Path) -> None:
    for name in ("12.png", "9_to_15.png"):
        _save(tmp_path, name, np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(MagkitError, match="don't rise"):
        open_folder(tmp_path, ReadOptions(gaps=True))


def test_pictures_of_other_sizes_are_named(tmp_path: Path) -> None:
    _save(tmp_path, "f0.png", np.zeros((2, 3, 3), np.uint8))
    _save(tmp_path, "f9.png", np.zeros((4, 5, 3), np.uint8))
    _numbered(tmp_path, *range(1, 9))
    with pytest.raises(MagkitError, match=r"f0\.png is 3x2, not 6x4 .*f9\.png \(5x4\)"):
        open_video(tmp_path)
    assert open_folder(tmp_path, ReadOptions(pattern="f[1-8].png"))[0].frames == 8


@pytest.mark.parametrize("name", ["f3.png", "f3.tif", "f3.webp"])
def test_a_clip_among_frames_is_named(tmp_path: Path, name: str) -> None:
    _numbered(tmp_path, 1, 2)
    pages = [Image.new("RGB", (6, 4), (90 * n,) * 3) for n in range(3)]
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:], duration=40)
    with pytest.raises(MagkitError, match=rf"{name} holds 3 frames"):
        open_video(tmp_path)
    assert open_folder(tmp_path, ReadOptions(pattern="f[12].*"))[0].frames == 2


def test_further_pictures_of_a_photograph_are_no_frames(tmp_path: Path) -> None:
    for name, kind in (("1.jpg", "MPO"), ("2.jpg", "MPO"), ("3.tif", "TIFF"), ("4.tif", "TIFF")):
        large, small = Image.new("RGB", (6, 4), (90,) * 3), Image.new("RGB", (3, 2), (200,) * 3)
        others = [large.copy(), small] if kind == "MPO" else [small]
        large.save(tmp_path / name, kind, save_all=True, append_images=others)
    assert [int(frame[0, 0, 0]) for frame in open_video(tmp_path)] == [90] * 4


def test_a_pattern_that_nothing_matches_is_refused(tmp_path: Path) -> None:
    _numbered(tmp_path, 1)
    with pytest.raises(UsageError, match=r"\*\.jpg") as caught:
        open_folder(tmp_path, ReadOptions(pattern="*.jpg"))
    assert "f1.png" in caught.value.hint


def test_of_a_job_the_folder_of_frames_is_named(tmp_path: Path) -> None:
    frames = _numbered(tmp_path / "job" / "bear" / "frames", 1, 2)
    _save(tmp_path / "job", "contact.png", np.zeros((4, 6, 3), np.uint8))
    for folder in (tmp_path / "job" / "bear", tmp_path / "job"):
        with pytest.raises(MagkitError, match=r"holds no .*frames") as caught:
            open_video(folder)
        assert str(frames) in caught.value.hint
    sequence = _numbered(tmp_path / "clips" / "one", 1)
    with pytest.raises(MagkitError, match="holds no frames") as caught:
        open_video(tmp_path / "clips")
    assert str(sequence) in caught.value.hint


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "jpg", "JPG"])
def test_every_kind_of_picture_is_read(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "frames"
    _save(folder, f"a.{suffix}", np.full((8, 8, 3), 200, np.uint8))
    assert np.abs(np.array(_read_one(folder)) - 200).max() <= 1


def test_16_bits_are_rounded_to_8(tmp_path: Path) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    _save(tmp_path / "grey", "a.png", values)
    assert [p[0] for p in _read_one(tmp_path / "grey")] == [0, 0, 1, 1, 128, 255]


def test_grey_palette_and_transparency_become_rgb(tmp_path: Path) -> None:
    grey = np.array([[7, 250]], np.uint8)
    _save(tmp_path / "grey", "a.png", grey)
    assert _read_one(tmp_path / "grey") == [[7] * 3, [250] * 3]
    _save(tmp_path / "bits", "a.png", grey > 99)
    assert _read_one(tmp_path / "bits") == [[0] * 3, [255] * 3]
    colours = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)
    _save(tmp_path / "palette", "a.png", colours, "P")
    assert _read_one(tmp_path / "palette") == [[255, 0, 0], [0, 0, 255]]
    clear = np.array([[[200, 100, 50, 255], [200, 100, 50, 0]]], np.uint8)
    _save(tmp_path / "clear", "a.png", clear)
    assert _read_one(tmp_path / "clear") == [[200, 100, 50], [0, 0, 0]]
    _save(tmp_path / "greyclear", "a.png", clear, "LA")
    assert _read_one(tmp_path / "greyclear")[1] == [0, 0, 0]


@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "a.webp"])
def test_a_photograph_taken_sideways_is_upright(tmp_path: Path, name: str) -> None:
    image = Image.fromarray(np.zeros((8, 16, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / name, exif=exif)
    video = open_video(tmp_path)
    assert (video.info.width, video.info.height) == (8, 16)
    assert next(iter(video)).shape == (16, 8, 3)


def test_a_part_of_a_folder(tmp_path: Path) -> None:
    for n in range(10):
        _save(tmp_path, f"{n}.png", np.full((2, 2, 3), n, np.uint8))
    (tmp_path / "magkit.json").write_text('{"rate": "10/1"}')
    video = open_video(tmp_path, start=0.3, end=0.6)
    assert [int(frame[0, 0, 0]) for frame in video] == [3, 4, 5]
    assert video.info.frames == 3


def test_frames_of_mixed_sizes_are_refused_by_name(tmp_path: Path) -> None:
    for n in range(3):
        _save(tmp_path, f"{n}.png", np.zeros((2, 5 if n == 2 else 4, 3), np.uint8))
    with pytest.raises(MagkitError, match=r"2\.png is 5x2, not 4x2"):
        open_video(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MagkitError, match="holds no frames"):
        open_video(tmp_path)


def test_names_that_mean_archives_or_homes_elsewhere_are_plain_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.zip", "~", "imageio:"):
        folder = Path(name) / "frames"
        write_video(folder, [np.full((2, 3, 3), 9, np.uint8)], plain_info(3, 2, Fraction(24)))
        assert _read_one(folder) == [[9] * 3] * 6


# PostScript would start another program.
@pytest.mark.parametrize("content", [b"", b"no picture", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_a_file_that_is_no_picture_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(MagkitError, match=r"bad\.png"):
        open_video(tmp_path)


def test_a_cut_picture_is_refused_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    _save(tmp_path, "a.png", rng.integers(0, 256, (64, 64, 3), np.uint8))
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MagkitError, match=r"a\.png"):
        list(open_video(tmp_path))


def test_only_folders_of_frames_are_overwritten(tmp_path: Path) -> None:
    out, frame = tmp_path / "out", np.zeros((2, 2, 3), np.uint8)
    write_video(out, [frame] * 3, plain_info(2, 2, Fraction(24)))
    with pytest.raises(MagkitError, match="exists"):
        write_video(out, [frame], plain_info(2, 2, Fraction(24)))
    write_video(out, [frame], plain_info(2, 2, Fraction(24)), WriteOptions(overwrite=True))
    assert open_video(out).info.frames == 1
    (out / "thesis.doc").write_text("years of work")
    with pytest.raises(MagkitError, match=r"thesis\.doc"):
        write_video(out, [frame], plain_info(2, 2, Fraction(24)), WriteOptions(overwrite=True))
    assert (out / "thesis.doc").exists()


def test_masks_with_alpha_among_the_real_pictures_are_read(data_root: Path) -> None:
    video = open_video(data_root / "davis" / "Annotations" / "480p" / "bear")
    assert video.info.frames == 82
    assert sum(1 for _ in video) == 82


@pytest.mark.parametrize(("bits", "mode"), [(8, "L"), (12, "I;16")])
def test_grey_clips_become_grey_frames(tmp_path: Path, bits: int, mode: str) -> None:
    kind = np.uint16 if bits > 8 else np.uint8
    levels = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (3, 6, 10), kind)
    record = replace(plain_info(10, 6, Fraction(24), 3), bits=bits, grey=True)
    write_video(tmp_path / "out", np.repeat(levels[..., None], 3, 3), record)
    with Image.open(tmp_path / "out" / "000001.png") as image:
        assert image.mode == mode
        assert (np.asarray(image) == levels[1]).all()
    video = open_video(tmp_path / "out", ReadOptions(deep=True))
    assert (video.info.grey, video.info.bits) == (True, bits)
    assert (np.stack(list(video)) == levels[..., None]).all()
