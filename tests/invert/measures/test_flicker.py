"""The background's change against NumPy, and what it must not see."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from magkit.invert.measures import flicker


def clip(seed: int, length: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    frames = torch.rand(length, 3, 6, 8, generator=random)
    return frames, torch.rand(length, 6, 8, generator=random) < 0.3


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), length=st.integers(2, 5))
def test_it_is_the_mean_over_every_pair(seed: int, length: int) -> None:
    frames, objects = clip(seed, length)
    exact = [
        abs(float(frames[t + 1, c, y, x]) - float(frames[t, c, y, x]))
        for t in range(length - 1)
        for y, x in np.argwhere(~(objects[t] | objects[t + 1]).numpy())
        for c in range(3)
    ]
    assert flicker(frames, objects) == pytest.approx(np.mean(exact), abs=1e-6)
    assert flicker(frames.flip(0), objects.flip(0)) == pytest.approx(flicker(frames, objects))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6))
def test_it_does_not_see_objects(seed: int) -> None:
    frames, objects = clip(seed)
    other = torch.where(objects[:, None], clip(seed + 1)[0], frames)
    assert not torch.equal(frames, other)
    assert flicker(other, objects) == flicker(frames, objects)


def test_clips_that_are_known() -> None:
    frames, objects = clip(0)
    assert flicker(frames[:1].expand(5, -1, -1, -1), objects[:1].expand(5, -1, -1)) == 0
    ones, nowhere = torch.ones(1, 3, 6, 8), torch.zeros(3, 6, 8, dtype=torch.bool)
    assert flicker(torch.cat([ones, 0 * ones, ones]), nowhere) == 1
    assert flicker(torch.cat([ones, 0.75 * ones, 0.75 * ones]), nowhere) == 0.125


def test_where_an_object_was_and_where_it_goes_is_no_background() -> None:
    frames = torch.zeros(2, 3, 1, 4)
    objects = torch.tensor([[[True, False, False, False]], [[False, True, False, False]]])
    frames[1, :, 0, :2] = 1  # uncovered, covered
    frames[1, :, 0, 2] = 0.5
    assert flicker(frames, objects) == 0.25


def test_what_has_no_flicker() -> None:
    frames, objects = clip(0)
    assert math.isnan(flicker(frames[:1], objects[:1]))
    assert math.isnan(flicker(frames[:0], objects[:0]))
    assert math.isnan(flicker(frames, objects | True))


def test_every_frame_needs_its_objects() -> None:
    frames, objects = clip(0)
    with pytest.raises(ValueError, match="shorter"):
        flicker(frames, objects[:3])
