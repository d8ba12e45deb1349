"""Windows of clips: sizes, what is kept in memory, what is kept out, and what is no clip."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from magkit.errors import MagkitError
from magkit.selfsup.windows import SPAN, ClipWindows, find_clips, open_windows

Clip = Callable[..., Path]


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    """Writes frames of one grey level each, 10 times the frame's number, as a NumPy file."""

    def write(count: int, height: int = 40, width: int = 60, name: str = "clip") -> Path:
        levels = (np.arange(count) * 10 % 256).astype(np.uint8)
        frames = np.broadcast_to(levels[:, None, None, None], (count, height, width, 3))
        path = tmp_path / f"{name}.npy"
        np.save(path, frames)
        return path

    return write


def levels(window: torch.Tensor) -> list[int]:
    return [int(frame.float().mean().round()) for frame in window]


def test_windows_are_consecutive_frames(clip: Clip) -> None:
    source = ClipWindows([clip(20)], 16, "here")
    assert len(source) == 2
    assert [levels(w) for w in source.windows([0, 1])] == [
        [10 * n for n in range(8)],
        [10 * n for n in range(8, 16)],
    ]


@pytest.mark.parametrize(
    ("side", "shape"),
    [(16, (20, 30)), (30, (30, 45)), (40, (40, 60)), (64, (40, 60))],
)
def test_frames_are_shrunk_twofold_but_not_below_a_side(
    clip: Clip, side: int, shape: tuple[int, int]
) -> None:
    (window,) = ClipWindows([clip(9)], side, "here").windows([0])
    assert window.shape == (SPAN, 3, *shape)
    assert window.dtype == torch.uint8


def test_windows_at_even_distances_fit_into_the_memory(clip: Clip) -> None:
    frame = 3 * 20 * 30
    source = ClipWindows([clip(100)], 16, "here", memory=4 * SPAN * frame)
    kept = [levels(window) for window in source.windows(range(len(source)))]
    # 12 windows of 8 frames, and 4 frames more: every fourth is kept.
    assert [window[0] for window in kept] == [0, 320 % 256, 640 % 256]
    assert all(window == [(window[0] + 10 * n) % 256 for n in range(SPAN)] for window in kept)


def test_a_short_clip_is_one_window(clip: Clip) -> None:
    source = ClipWindows([clip(3)], 16, "here")
    assert [levels(window) for window in source.windows([0])] == [[0, 10, 20]]


def test_a_single_frame_is_refused(clip: Clip) -> None:
    with pytest.raises(MagkitError, match="single frame"):
        ClipWindows([clip(1)], 16, "here")


def test_the_last_windows_are_kept_out(clip: Clip) -> None:
    source = ClipWindows([clip(40), clip(8, name="short")], 16, "here")
    kept, out = source.hold_out(0.2)
    assert (len(kept), len(out)) == (5, 1)
    assert levels(out.windows([0])[0])[0] == 10 * 32 % 256
    seen = {levels(window)[0] for window in kept.windows(range(len(kept)))}
    assert levels(out.windows([0])[0])[0] not in seen
    assert kept.describe() != out.describe()


def test_clips_too_short_to_keep_a_part_out(clip: Clip) -> None:
    with pytest.raises(MagkitError, match="too short"):
        ClipWindows([clip(8)], 16, "here").hold_out(0.2)


def test_clips_are_found_in_folders(clip: Clip, tmp_path: Path) -> None:
    frames = tmp_path / "b" / "frames"
    frames.mkdir(parents=True)
    for number in range(3):
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(frames / f"{number}.png")
    video = tmp_path / "a.mp4"
    video.touch()
    (tmp_path / "notes.txt").touch()
    assert find_clips(tmp_path) == [video, frames]
    assert find_clips(tmp_path / "notes.txt") == []
    assert find_clips(tmp_path / "missing") == []


def test_without_clips_scenes_are_windows_of_one_frame() -> None:
    source = open_windows((), 64, scenes=2)
    assert [tuple(window.shape) for window in source.windows([1])] == [(1, 3, 64, 64)]
