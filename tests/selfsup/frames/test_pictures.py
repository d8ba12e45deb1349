"""Pictures as frames: their scale, their window, and those that are broken."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from magkit.selfsup.frames import PictureFrames

Made = Callable[..., Path]


def test_the_shorter_side_is_shown_whole_and_a_window_of_the_longer(pictures: Made) -> None:
    # Red runs from 0 to 1 along x, green along y.
    frames = PictureFrames(str(pictures(*[(400, 100)] * 12)), 50).frames(range(12), "a")
    red, green, _ = frames.unbind(1)
    assert (green[:, -1] - green[:, 0]).mean() == pytest.approx(0.98, abs=0.02)
    assert (red[:, :, -1] - red[:, :, 0]).mean() == pytest.approx(0.245, abs=0.02)
    places = red[:, 0, 0]
    assert places.max() - places.min() > 0.4, "windows lie all over the pictures"


def test_a_window_depends_on_the_index_alone(pictures: Made) -> None:
    folder = str(pictures(*[(200, 80)] * 6))
    forwards, backwards = PictureFrames(folder, 40), PictureFrames(folder, 40)
    first = forwards.frames(range(6), "a")
    assert torch.equal(backwards.frames(range(5, -1, -1), "a").flip(0), first)
    assert torch.equal(forwards.frames(range(6), "a"), first), "remembered or not"


def test_broken_pictures_are_replaced_and_counted(pictures: Made) -> None:
    folder = pictures((90, 80), (90, 80), (90, 80))
    whole = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(whole[: len(whole) // 2])
    source = PictureFrames(str(folder), 32)
    frames = source.frames([0, 1, 2], "a")
    assert [Path(place).name for place in source.unreadable] == ["1.png"]
    assert frames[1, 2].mean() == pytest.approx(float(frames[2, 2].mean()), abs=1e-3)


def test_descriptions_differ_where_frames_do(pictures: Made) -> None:
    folder = pictures((90, 80), (90, 80))
    describe = PictureFrames(str(folder), 32).describe()
    assert PictureFrames(str(folder), 32).describe() == describe
    assert PictureFrames(str(folder), 48).describe() != describe
    (folder / "0.png").rename(folder / "00.png")
    assert PictureFrames(str(folder), 32).describe() != describe


def test_what_is_remembered_is_not_handed_on(pictures: Made) -> None:
    source = PictureFrames(str(pictures((90, 80), (90, 80))), 64)
    frames = source.frames([0, 1], "a")
    text = pickle.dumps(source)
    assert len(text) < 5000
    assert torch.equal(pickle.loads(text).frames([0, 1], "a"), frames)
