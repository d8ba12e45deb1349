"""Animated images are read as browsers show them."""

import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.video import ReadOptions, open_video
from magkit.video.animation import open_animation
from magkit.video.formats import image_format
from magkit.video.info import FrameRangeReader, VideoInfo


def opened(path: Path, options: ReadOptions = ReadOptions()) -> tuple[VideoInfo, FrameRangeReader]:  # noqa: B008 - frozen
    return open_animation(path, image_format(path) or "", options)


COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]


def _save(path: Path, duration: int | list[int]) -> None:
    images = [Image.new("RGB", (8, 6), colour) for colour in COLOURS]
    images[0].save(path, save_all=True, append_images=images[1:], duration=duration, lossless=True)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_frames_and_rate(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    _save(path, 40)
    video = open_video(path)
    assert (video.info.frames, video.info.rate) == (4, Fraction(25))
    frames = list(video)
    assert [tuple(frame[0, 0].tolist()) for frame in frames] == COLOURS
    assert all(frame.shape == (6, 8, 3) for frame in frames)
    (second,) = open_video(path, start=0.04, end=0.08)
    assert np.array_equal(second, frames[1])


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_each_delay_is_kept(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    _save(path, [40, 40, 250, 2000])
    info, _ = opened(path)
    assert info.times == pytest.approx((0, 0.04, 0.08, 0.33, 2.33), abs=1e-9)
    assert info.rate == Fraction(4) / Fraction(233, 100)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(2, 65535), min_size=2, max_size=5))
def test_a_gif_shows_its_frames_as_long_as_it_says(hundredths: list[int]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.gif"
        images = [Image.new("L", (3, 2), 40 * n) for n in range(len(hundredths))]
        delays = [10 * one for one in hundredths]
        images[0].save(path, save_all=True, append_images=images[1:], duration=delays)
        info, _ = opened(path)
    ends = [float(Fraction(sum(hundredths[:n]), 100)) for n in range(len(hundredths) + 1)]
    assert info.times == (None if len(set(hundredths)) == 1 else tuple(ends))
    assert info.rate == Fraction(100 * len(hundredths), sum(hundredths))


@pytest.mark.parametrize(("numerator", "denominator"), [(1, 30), (1001, 30000), (1, 120), (7, 0)])
def test_a_png_has_delays_of_any_fraction_of_a_second(
    tmp_path: Path, numerator: int, denominator: int
) -> None:
    path = tmp_path / "a.png"
    _save(path, 40)
    path.write_bytes(_with_png_delays(path.read_bytes(), numerator, denominator))
    info, _ = opened(path)
    assert info.rate == Fraction(denominator or 100, numerator)
    assert info.times is None


def _with_png_delays(content: bytes, numerator: int, denominator: int) -> bytes:
    """An animated PNG with another delay in every fcTL chunk."""
    parts = content.split(b"fcTL")
    for index, part in enumerate(parts[1:], 1):
        body = part[:20] + struct.pack(">HH", numerator, denominator) + part[24:26]
        parts[index] = body + struct.pack(">I", zlib.crc32(b"fcTL" + body)) + part[30:]
    return b"fcTL".join(parts)


@pytest.mark.parametrize(
    ("suffix", "milliseconds", "rate"),
    [
        (".gif", 0, Fraction(10)),
        (".gif", 10, Fraction(10)),
        (".gif", 20, Fraction(50)),
        (".webp", 0, Fraction(10)),
        (".webp", 8, Fraction(125)),
        (".png", 0, Fraction(10)),
        (".png", 10, Fraction(100)),
    ],
)
def test_delays_too_short_to_be_meant_are_those_of_browsers(
    tmp_path: Path, suffix: str, milliseconds: int, rate: Fraction
) -> None:
    _save(tmp_path / f"a{suffix}", milliseconds)
    info, _ = opened(tmp_path / f"a{suffix}")
    assert (info.rate, info.times) == (rate, None)


def test_a_stated_rate_takes_the_place_of_delays(tmp_path: Path) -> None:
    _save(tmp_path / "a.gif", 40)
    info = open_video(tmp_path / "a.gif", ReadOptions(rate=Fraction(5))).info
    assert info.rate == 5
    assert info.times is None


def test_the_picture_for_programs_without_animation_is_no_frame(tmp_path: Path) -> None:
    images = [Image.new("RGB", (8, 6), colour) for colour in COLOURS]
    images[0].save(
        tmp_path / "a.png",
        save_all=True,
        append_images=images[1:],
        default_image=True,
        duration=[100, 200, 300],
    )
    info, stream = opened(tmp_path / "a.png")
    assert info.times == pytest.approx((0, 0.1, 0.3, 0.6))
    assert [tuple(frame[0, 0].tolist()) for frame in stream(0, 3)] == COLOURS[1:]
    assert [tuple(frame[0, 0].tolist()) for frame in stream(1, 2)] == COLOURS[2:3]


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_what_is_transparent_lies_on_black(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    images = [Image.new("RGBA", (8, 6), (200, 100, tone, 0)) for tone in (0, 50)]
    for image in images:
        image.putpixel((0, 0), (10, 20, 30, 255))
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {"disposal": 2}
    images[0].save(path, save_all=True, append_images=images[1:], duration=[40, 80], **options)
    for frame in opened(path)[1](0, 2):
        assert frame[0, 0].tolist() == [10, 20, 30]
        assert not frame[1:].any()


def test_frames_of_8_bits_are_never_made_deep(tmp_path: Path) -> None:
    _save(tmp_path / "a.png", 40)
    info, stream = opened(tmp_path / "a.png", ReadOptions(deep=True))
    frames = list(stream(0, 4))
    assert info.bits == 8
    assert {frame.dtype for frame in frames} == {np.dtype(np.uint8)}
    assert [tuple(frame[0, 0].tolist()) for frame in frames] == COLOURS


def test_a_depth_is_no_matter_of_8_bit_animations(tmp_path: Path) -> None:
    _save(tmp_path / "a.gif", 40)
    with pytest.raises(UsageError, match="8 bits"):
        opened(tmp_path / "a.gif", ReadOptions(bits=12))


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg", ".bmp", ".tif"])
def test_a_still_picture_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.new("RGB", (8, 6)).save(path)
    with pytest.raises(MagkitError, match="still picture"):
        open_video(path)


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
@pytest.mark.parametrize("share", [0.5, 0.97])
def test_a_cut_animation_is_refused(
    tmp_path: Path, ffmpeg: Callable[..., str], suffix: str, share: float
) -> None:
    path = tmp_path / f"a{suffix}"
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)) for _ in range(6)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=40)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(MagkitError):
        list(open_video(path))
