"""Trembling and gain of magnifications whose answer is known."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from magkit.evaluate import real_frames
from magkit.evaluate.clips import to_uint8
from magkit.evaluate.deformed import DeformedScene
from magkit.evaluate.real_frames import Coding, displacement_gain, still_clip, trembling
from magkit.video import Frame

PICTURE = torch.nn.functional.interpolate(
    torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0)),
    96,
    mode="bicubic",
    align_corners=False,
)[0].clamp(0, 1)
NONE: Any = None


def magnify_by(change: Any) -> Any:
    def magnify(frames: Iterator[Frame], *_: Any, **__: Any) -> Iterator[Frame]:
        return (change(number, frame) for number, frame in enumerate(frames))

    return magnify


def test_frames_that_stay_do_not_tremble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_frames, "magnify", magnify_by(lambda _, frame: frame))
    assert trembling(NONE, PICTURE, Coding("h264", 28)) == 0


def test_trembling_is_the_root_of_the_mean_square(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the pixels change by 6 grey levels, but the first frame's, which don't count."""

    def change(_: int, frame: Frame) -> Frame:
        half = frame.astype(np.int16)
        half[: len(half) // 2] += np.where(half[: len(half) // 2] < 128, 6, -6)
        return half.astype(np.uint8)

    monkeypatch.setattr(real_frames, "magnify", magnify_by(change))
    found = trembling(NONE, PICTURE, Coding("mpeg4", 8))
    assert found == pytest.approx(6 / np.sqrt(2))


def test_still_clips_are_functions_of_their_seed() -> None:
    once, again, other = (still_clip(PICTURE, Coding("hevc", 30), seed) for seed in (1, 1, 2))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)
    assert once.shape == (real_frames.FRAMES, 96, 96, 3)


@pytest.mark.parametrize("gain", [0.0, 0.5, 1.0])
def test_the_gain_is_that_of_exact_frames(gain: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that show `gain` times as large a motion as was asked for."""
    made: list[Any] = []
    scene = DeformedScene

    def recorded(*arguments: Any) -> Any:
        made.append(scene(*arguments))
        return made[-1]

    def magnify(frames: Iterator[Frame], *_: Any, **__: Any) -> Iterator[Frame]:
        count = len(list(frames))
        scales = torch.sin(torch.arange(count) * (2 * np.pi / real_frames.PERIOD))
        exact = made[0].frames(scales * max(gain * real_frames.GAIN_FACTOR, 1.0))
        return map(to_uint8, torch.split(exact, 1))

    monkeypatch.setattr(real_frames, "DeformedScene", recorded)
    monkeypatch.setattr(real_frames, "magnify", magnify)
    wanted = max(gain, 1 / real_frames.GAIN_FACTOR)
    assert displacement_gain(NONE, PICTURE, 0.2, 0.7) == pytest.approx(wanted, abs=0.01)
