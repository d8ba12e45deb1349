"""Animated images are read as browsers show them."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magkit.errors import MagkitError
from magkit.video import open_video

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


def test_uneven_frames_play_at_their_mean_rate(tmp_path: Path) -> None:
    _save(tmp_path / "a.gif", [100, 200, 300, 200])
    assert open_video(tmp_path / "a.gif").info.rate == 5


def test_a_gif_without_delays_plays_as_browsers_play_it(tmp_path: Path) -> None:
    _save(tmp_path / "a.gif", 0)
    assert open_video(tmp_path / "a.gif").info.rate == 10


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
