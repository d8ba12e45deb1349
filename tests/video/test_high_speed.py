"""Frames that are less than a millisecond apart, the tick of Matroska."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from magkit.video import VideoInfo, open_video, plain_info, write_video

Ffmpeg = Callable[..., str]

COUNT = 100


def write_steps(path: Path, info: VideoInfo) -> None:
    """A clip in which frame n has the level 20 + 2n."""
    frames = (np.full((32, 32, 3), 20 + 2 * number, np.uint8) for number in range(COUNT))
    assert write_video(path, frames, info) == COUNT


def uneven(shortest: float) -> VideoInfo:
    """Steps in turn of once and twice the shortest, in seconds."""
    steps = shortest * (1 + np.arange(COUNT) % 2)
    times = (0.0, *np.cumsum(steps).tolist())
    return replace(plain_info(32, 32, Fraction(COUNT / times[-1])), times=times)


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mp4", ".mov"])
@pytest.mark.parametrize("rate", [1000, 1200, 2000, 5000])
def test_a_high_rate_comes_back(
    tmp_path: Path, suffix: str, rate: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / f"fast{suffix}"
    write_steps(path, plain_info(32, 32, Fraction(rate)))
    video = open_video(path)
    assert (video.info.rate, video.info.frames) == (Fraction(rate), COUNT)
    assert video.info.times is None
    levels = [frame.mean() for frame in video]
    assert levels == pytest.approx([20 + 2 * number for number in range(COUNT)], abs=1.5)
    assert ("1 ms" in caplog.text) == (rate > 1000 and suffix in {".mkv", ".webm"})


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_the_rate_of_the_fastest_cameras_comes_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"fast{suffix}"
    write_steps(path, plain_info(32, 32, Fraction(1_000_000)))
    info = open_video(path).info
    assert (info.rate, info.frames, info.times) == (Fraction(1_000_000), COUNT, None)


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".mp4", ".mov"])
@pytest.mark.parametrize("shortest", [0.0004, 0.001, 0.002])
def test_times_that_ticks_can_not_tell_are_warned_of(
    tmp_path: Path, suffix: str, shortest: float, caplog: pytest.LogCaptureFixture
) -> None:
    path, source = tmp_path / f"fast{suffix}", uneven(shortest)
    write_steps(path, source)
    coarse = suffix in {".mkv", ".webm"}
    assert ("mp4 and mov" in caplog.text) == (coarse and shortest < 0.001)
    info = open_video(path).info
    assert info.frames == COUNT
    kept = [info.time_of(number) for number in range(COUNT)]
    assert kept == pytest.approx(source.times[:-1] if source.times else (), abs=6e-4)
    assert all(a < b for a, b in pairwise(kept))
    if not coarse:
        assert kept == pytest.approx(source.times[:-1] if source.times else (), abs=2e-5)


def test_a_part_of_a_fast_clip_is_cut_at_the_frame(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    path = tmp_path / "fast.mkv"
    picture = "color=gray:s=32x32:r=2000:d=5.2,geq=lum='16+mod(7*N,211)':cb=128:cr=128"
    ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "libx264", "-qp", 1, "-preset", "ultrafast",
           "-pix_fmt", "yuv420p", path)  # fmt: skip
    whole, part = open_video(path), open_video(path, start=5.1, end=5.15)
    assert (whole.info.rate, whole.info.frames) == (Fraction(2000), 10400)
    expected = [frame.mean() for number, frame in enumerate(whole) if 10200 <= number < 10300]
    assert [frame.mean() for frame in part] == expected


def test_the_shortest_step() -> None:
    assert plain_info(32, 32, Fraction(50)).shortest_step == pytest.approx(0.02)
    assert uneven(0.25).shortest_step == pytest.approx(0.25)
