"""Clips written as TIFF stacks, read by tifffile, by Pillow and by magkit."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.video import (
    Frame,
    ReadOptions,
    VideoInfo,
    WriteOptions,
    open_video,
    plain_info,
    write_video,
)
from magkit.video import stack_writer as writer

COUNT, HEIGHT, WIDTH = 5, 6, 10


def info(bits: int, *, grey: bool, rate: Fraction = Fraction(15000)) -> VideoInfo:
    return replace(plain_info(WIDTH, HEIGHT, rate, COUNT), bits=bits, grey=grey)


def pixels(bits: int, *, grey: bool) -> NDArray[np.unsignedinteger]:
    kind = np.uint16 if bits > 8 else np.uint8
    shape = (COUNT, HEIGHT, WIDTH, 1 if grey else 3)
    values = np.random.default_rng(0).integers(0, np.iinfo(kind).max, shape, kind, endpoint=True)
    return np.repeat(values, 3, axis=3) if grey else values


@pytest.mark.parametrize("suffix", [".tif", ".TIFF"])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_pixels_depth_and_rate_come_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, bits: int, grey: bool, suffix: str
) -> None:
    path, frames = tmp_path / f"a{suffix}", pixels(bits, grey=grey)
    assert write_video(path, iter(frames), info(bits, grey=grey)) == COUNT
    assert (tifffile.imread(path) == (frames[..., 0] if grey else frames)).all()
    video = open_video(path, ReadOptions(deep=True))
    assert video.info.rate == 15000
    assert (video.info.bits, video.info.grey) == (bits, grey)
    assert (np.stack(list(video)) == frames).all()
    assert not caplog.records


def test_pillow_reads_the_pages(tmp_path: Path) -> None:
    for bits, grey in ((8, False), (8, True), (16, True)):
        path, frames = tmp_path / f"{bits}{grey}.tif", pixels(bits, grey=grey)
        write_video(path, iter(frames), info(bits, grey=grey))
        with Image.open(path) as image:
            assert getattr(image, "n_frames", 1) == COUNT
            image.seek(3)
            assert (np.asarray(image) == (frames[3, ..., 0] if grey else frames[3])).all()


def test_imagej_finds_pixels_and_rate(tmp_path: Path) -> None:
    path, frames = tmp_path / "a.tif", pixels(16, grey=True)
    write_video(path, iter(frames), info(16, grey=True, rate=Fraction(250)))
    with tifffile.TiffFile(path) as file:
        told = file.imagej_metadata or {}
        assert (told["images"], told["frames"], told["fps"]) == (COUNT, COUNT, 250)
        assert (told["finterval"], told["tunit"]) == (0.004, "s")
        # ImageJ reads all images from where the first begins, without the other directories.
        start = file.pages.first.dataoffsets[0]
    data = np.fromfile(path, "<u2", frames[..., 0].size, offset=start)
    assert (data == frames[..., 0].ravel()).all()


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24), Fraction(1_000_000)])
def test_any_rate_comes_back_exactly(tmp_path: Path, rate: Fraction) -> None:
    path = tmp_path / "a.tif"
    write_video(path, pixels(8, grey=False), info(8, grey=False, rate=rate))
    assert open_video(path).info.rate == rate


def test_a_dark_clip_keeps_its_levels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # Nothing but what the file says tells these from 12-bit values that were not scaled.
    frames = np.full((COUNT, HEIGHT, WIDTH, 3), 1600, np.uint16)
    write_video(tmp_path / "a.tif", frames, info(12, grey=True))
    video = open_video(tmp_path / "a.tif", ReadOptions(deep=True))
    assert (np.stack(list(video)) == 1600).all()
    assert not caplog.records


def test_grey_of_channels_that_differ_is_their_mean(tmp_path: Path) -> None:
    frames = np.broadcast_to(np.array([10, 11, 15], np.uint8), (COUNT, HEIGHT, WIDTH, 3))
    write_video(tmp_path / "a.tif", frames, info(8, grey=True))
    assert (tifffile.imread(tmp_path / "a.tif") == 12).all()


def test_the_number_of_pages_is_that_of_frames_not_of_the_record(tmp_path: Path) -> None:
    for announced in (1000, None):
        path = tmp_path / f"{announced}.tif"
        record = replace(info(8, grey=True), frames=announced)
        write_video(path, pixels(8, grey=True), record)
        with tifffile.TiffFile(path) as file:
            assert (file.imagej_metadata or {})["images"] == COUNT
            assert file.is_bigtiff == (announced is None)
        assert open_video(path).info.frames == COUNT


@pytest.mark.parametrize(
    ("frames", "big"), [(1000, False), (1035, False), (1036, True), (10**6, True)]
)
def test_more_than_4_gb_become_a_bigtiff(tmp_path: Path, frames: int, big: bool) -> None:
    assert writer._is_big(VideoInfo(1920, 1080, Fraction(24), frames, bits=12, grey=True)) == big


def test_frames_are_written_as_they_come(tmp_path: Path) -> None:
    path, sizes = tmp_path / "a.tif", list[int]()

    def frames() -> Iterator[Frame]:
        for _ in range(20):
            yield np.zeros((100, 1000, 3), np.uint8)
            sizes.append(sum(file.stat().st_size for file in tmp_path.iterdir()))

    write_video(path, frames(), plain_info(1000, 100, Fraction(24), 20))
    assert sizes[10] > 9 * 300_000


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    def frames() -> Iterator[Frame]:
        yield from pixels(8, grey=False)[:2]
        raise MagkitError("it breaks off")

    with pytest.raises(MagkitError, match="breaks off"):
        write_video(tmp_path / "a.tif", frames(), info(8, grey=False))
    with pytest.raises(MagkitError, match="no frames"):
        write_video(tmp_path / "a.tif", [], info(8, grey=False))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [WriteOptions(quality=3), WriteOptions(pix_fmt="yuv444p")])
def test_a_stack_has_no_quality(tmp_path: Path, options: WriteOptions) -> None:
    with pytest.raises(UsageError, match="lossless"):
        write_video(tmp_path / "a.tif", pixels(8, grey=False), info(8, grey=False), options)


def test_uneven_frames_need_a_rate(tmp_path: Path) -> None:
    times = (0.0, 0.1, 0.2, 0.4, 0.5, 0.6)
    record = replace(info(8, grey=False, rate=Fraction(25, 3)), times=times)
    frames = pixels(8, grey=False)
    with pytest.raises(UsageError, match="unevenly") as error:
        write_video(tmp_path / "a.tif", frames, record)
    assert "--fps" in error.value.hint
    write_video(tmp_path / "a.tif", frames, record, WriteOptions(rate=Fraction(10)))
    video = open_video(tmp_path / "a.tif")
    assert video.info.rate == 10
    assert (np.stack(list(video)) == frames[[0, 1, 2, 2, 3, 4]]).all()


def test_a_pixel_aspect_is_lost_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    record = replace(info(8, grey=False), pixel_aspect=Fraction(16, 15))
    with caplog.at_level(logging.WARNING):
        write_video(tmp_path / "a.tif", pixels(8, grey=False), record)
    assert "16/15" in caplog.text
