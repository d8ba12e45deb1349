"""Texture ratios of frames and folds of displacement fields whose values are known."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from magkit.errors import MagkitError
from magkit.evaluate.whole import (
    WholeFrame,
    fold_share,
    magnify_whole,
    summarize_whole,
    texture,
)
from magkit.magnify import pipeline

CELL = 4


def noise(seed: int = 0, height: int = 32, width: int = 40) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(60, 180, (height, width, 3)).astype(np.uint8)


def test_texture_against_a_loop() -> None:
    frame = noise()
    luma = frame @ np.array([0.299, 0.587, 0.114])
    across = [abs(r[x - 1] - 2 * r[x] + r[x + 1]) for r in luma for x in range(1, len(r) - 1)]
    down = [abs(r[x - 1] - 2 * r[x] + r[x + 1]) for r in luma.T for x in range(1, len(r) - 1)]
    assert texture(frame) == pytest.approx((np.mean(across) + np.mean(down)) / 2, rel=1e-4)


def test_a_ramp_has_no_texture() -> None:
    ramp = np.broadcast_to(np.arange(0, 200, 5)[:, None, None], (40, 40, 3)).astype(np.uint8)
    assert texture(ramp) == pytest.approx(0, abs=1e-4)


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3))
def test_an_affine_displacement_folds_everywhere_or_nowhere(
    xx: float, xy: float, yx: float, yy: float
) -> None:
    y, x = CELL * np.mgrid[:5, :6].astype(np.float64)
    field = np.stack([xx * x + xy * y, yx * x + yy * y])
    determinant = (1 + xx) * (1 + yy) - xy * yx
    if abs(determinant) > 1e-6:
        assert fold_share(field, CELL) == (determinant < 0)


def test_the_share_of_a_fold() -> None:
    field = np.zeros((2, 9, 11))
    field[0, :, 4:] = -1.5 * CELL  # right of a line everything moves left, beyond the line
    assert fold_share(field, CELL) == pytest.approx(1 / 10)
    assert fold_share(-field, CELL) == 0  # a gap is no fold


class Displaces:
    """Its motion is a field in which the last column moves; frames come back `times` as bright."""

    stride = cell = CELL

    def __init__(self, times: float) -> None:
        self.times = times

    def displacement(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return self.motion(reference, current)

    def average(self, first: torch.Tensor, others: Iterable[torch.Tensor]) -> torch.Tensor:
        return first

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        return frames

    def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        field = current.new_zeros(1, 2, current.shape[2] // 4, current.shape[3] // 4)
        field[:, 0, :, -1] = -1.0
        return field

    def render(self, current: torch.Tensor, *_: Any) -> torch.Tensor:
        return current * self.times


@pytest.mark.parametrize(("factor", "folds"), [(4.0, 0), (6.0, 1 / 9)])
def test_frames_of_a_clip(factor: float, folds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "limited", lambda motion, *_: motion)
    clip = [noise() + np.uint8(number) for number in range(3)]
    first, *found = magnify_whole(clip, Displaces(0.5), factor)
    assert (first.texture, first.folds) == (1, 0)
    assert (first.before == first.after).all()
    for frame, source in zip(found, clip[1:], strict=True):
        assert (frame.before == source).all()
        assert frame.texture == pytest.approx(0.5, rel=0.02)
        assert frame.folds == pytest.approx(folds)


def test_limited_motion_does_not_fold() -> None:
    clip = [noise() + np.uint8(number) for number in range(2)]
    first, second = (frame.folds for frame in magnify_whole(clip, Displaces(0.5), 6))
    assert first == 0
    assert second is not None
    assert second < 0.2


class Linear:
    """A magnifier of brightness."""

    stride = 1

    def encode(self, frames: torch.Tensor) -> torch.Tensor:
        return frames

    def motion(self, reference: torch.Tensor, current: torch.Tensor) -> torch.Tensor:
        return current - reference

    def render(self, current: torch.Tensor, *_: Any) -> torch.Tensor:
        return current


def test_motion_that_is_no_field_has_no_folds() -> None:
    found = list(magnify_whole([noise(), noise()], Linear(), 9))
    assert [frame.folds for frame in found] == [None, None]
    assert found[1].texture == 1


def test_the_summary_of_a_clip() -> None:
    frames = [WholeFrame(noise(), noise(), ratio, ratio / 10) for ratio in (1, 0.86, 1.4, 1.1, 0.8)]
    found = summarize_whole(frames)
    assert found["texture"] == {"min": 0.8, "median": 1, "max": 1.4}
    assert found["outside"] == pytest.approx(2 / 5)
    assert found["folds"] == {"mean": pytest.approx(0.1032), "max": pytest.approx(0.14)}
    assert found["frames"][1] == {"texture": 0.86, "folds": pytest.approx(0.086)}
    assert summarize_whole([WholeFrame(noise(), noise(), 1, None)])["folds"] is None
    with pytest.raises(MagkitError):
        summarize_whole([])


def test_a_frame_without_texture() -> None:
    flat = np.full((8, 8, 3), 90, np.uint8)
    found = [frame.texture for frame in magnify_whole([flat, flat], Displaces(1), 9)]
    assert found == [1, 1]
