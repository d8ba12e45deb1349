"""Videos as frames: which are taken, how many, and those that break off."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from magkit.errors import MagkitError
from magkit.selfsup.frames import VideoFrames, open_frames

Made = Callable[..., Path]


def levels(source: VideoFrames) -> list[int]:
    """Return the numbers of the frames, told by their grey levels."""
    grey = source.frames(range(len(source)), "a").mean((1, 2, 3)) * 255 / 5
    assert (grey - grey.round()).abs().max() < 0.5
    return [int(level) for level in grey.round()]


def test_all_frames_are_taken_where_they_fit(clip: Made) -> None:
    source = VideoFrames([clip(9), clip(4, "other.mkv")], 64, "clips")
    assert levels(source) == [*range(9), *range(4)]
    assert str(source) == "13 frames of 2 videos of clips"


@pytest.mark.parametrize(
    ("fit", "first", "second"),
    [
        (13, range(9), range(4)),
        (12, range(0, 9, 2), range(0, 4, 2)),
        (6, range(0, 9, 4), range(0, 4, 4)),
        (1, [0], [0]),
    ],
)
def test_above_the_limit_frames_are_thinned_evenly(
    clip: Made, fit: int, first: range, second: range
) -> None:
    paths = [clip(9), clip(4, "other.mkv")]
    source = VideoFrames(paths, 64, "clips", memory=fit * 3 * 64 * 64)
    assert levels(source) == [*first, *second]


def test_progress_counts_videos(clip: Made) -> None:
    told: list[tuple[int, int | None]] = []
    VideoFrames([clip(3), clip(4, "b.mkv")], 64, "clips", progress=lambda *n: told.append(n))
    assert told == [(0, 2), (1, 2), (2, 2)]


def test_frames_are_decoded_again_elsewhere(clip: Made) -> None:
    source = VideoFrames([clip(6)], 64, "clip")
    text = pickle.dumps(source)
    assert len(text) < 2000
    other = pickle.loads(text)
    assert len(other) == 6
    assert torch.equal(other.frames([5, 1], "a"), source.frames([5, 1], "a"))


def test_descriptions_differ_where_pixels_do(clip: Made) -> None:
    one, again = VideoFrames([clip(6)], 64, "x"), VideoFrames([clip(6, "b.mkv")], 64, "y")
    assert one.describe() == again.describe()
    fewer, smaller = (
        VideoFrames([clip(5, "c.mkv")], 64, "x"),
        VideoFrames([clip(6, "d.mkv")], 32, "x"),
    )
    assert len({str(source.describe()) for source in (one, fewer, smaller)}) == 3


def test_a_video_that_is_cut_is_named(clip: Made) -> None:
    clip(5, "a.mkv")
    path = clip(60, "b.mkv")
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(MagkitError, match=r"b\.mkv breaks off"):
        open_frames(str(path.parent), 64)


def test_animated_pictures_are_videos(tmp_path: Path) -> None:
    path = tmp_path / "moving.gif"
    frames = [Image.new("RGB", (64, 64), (90 * n, 0, 0)) for n in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    assert str(open_frames(str(path), 32)) == f"3 frames of {path}"


def test_real_clips_are_read(data_root: Path) -> None:
    clips = sorted((data_root / "clips").glob("*.mp4"), key=lambda path: path.stat().st_size)
    if not clips:
        pytest.skip(f"{data_root} holds no clips")
    source = VideoFrames(clips[:1], 64, "clip", memory=20 * 3 * 64 * 64)
    assert 10 <= len(source) <= 20
    assert source.frames([0], "a").std() > 0.01
