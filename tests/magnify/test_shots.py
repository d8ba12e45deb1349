"""Cuts, and the first frames of each shot."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magkit.magnify.shots import is_cut, marked, split_shots, thumbnail
from magkit.video import Frame


def scene(seed: int, height: int = 72, width: int = 96, dtype: type = np.uint8) -> Frame:
    """A picture of large patches, as a shot has."""
    rng = np.random.default_rng(seed)
    patches = rng.uniform(0.2, 0.8, (height // 12 + 1, width // 12 + 1, 3))
    picture = patches.repeat(12, 0).repeat(12, 1)[:height, :width]
    frame: Frame = (picture * np.iinfo(dtype).max).astype(dtype)
    return frame


def brightened(frame: Frame, gain: float, offset: float = 0.0) -> Frame:
    most = np.iinfo(frame.dtype).max
    changed: Frame = (frame * gain + offset * most).clip(0, most).astype(frame.dtype)
    return changed


def cuts(frames: list[Frame]) -> list[int]:
    """Where the shots after the first begin."""
    begins = [
        i for i, item in enumerate(split_shots(marked(frames), 1)) if item.opening is not None
    ]
    assert begins[:1] == [0][: len(frames)]
    return begins[1:]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_different_pictures_are_cut(dtype: type) -> None:
    shots = [scene(seed, dtype=dtype) for seed in range(5)]
    assert cuts([frame for frame in shots for _ in range(3)]) == [3, 6, 9, 12]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("gain", "offset"), [(0.5, 0.0), (1.8, 0.0), (1.0, 0.3), (0.6, 0.3), (0.1, 0.0)]
)
def test_light_that_changes_is_no_cut(dtype: type, gain: float, offset: float) -> None:
    frame = scene(1, dtype=dtype)
    assert cuts([frame, brightened(frame, gain, offset), frame]) == []


def test_noise_is_no_cut() -> None:
    rng = np.random.default_rng(0)
    frames = [(scene(2) + rng.normal(0, 25, (72, 96, 3))).clip(0, 255) for _ in range(6)]
    assert cuts([frame.astype(np.uint8) for frame in frames]) == []


def test_motion_is_no_cut() -> None:
    world = scene(3, 36, 120).repeat(2, 0).repeat(2, 1)
    pan = [world[:, 5 * i : 5 * i + 96] for i in range(20)]
    ball = [scene(4) for _ in range(10)]
    for i, frame in enumerate(ball):
        frame[20:50, 6 * i : 6 * i + 30] = 255
    assert cuts(pan) == []
    assert cuts(ball) == []


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 255), st.integers(0, 255), st.integers(1, 80), st.integers(1, 80))
def test_plain_frames_show_nothing_to_compare(a: int, b: int, height: int, width: int) -> None:
    one, other = (np.full((height, width, 3), value, np.uint8) for value in (a, b))
    assert cuts([one, other, one]) == []


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_picture_after_a_plain_frame_is_a_cut(value: int) -> None:
    plain = np.full((72, 96, 3), value, np.uint8)
    plain[::7, ::5] ^= 1  # a grey level of noise
    assert cuts([plain, plain, scene(5), scene(5), plain]) == [2, 4]


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300))
def test_a_thumbnail_is_small_and_in_the_unit_range(height: int, width: int) -> None:
    for dtype in (np.uint8, np.uint16):
        small = thumbnail(np.full((height, width, 3), np.iinfo(dtype).max, dtype))
        assert max(small.shape) < 2 * 32
        assert small.min() == small.max() == pytest.approx(1)


def test_a_frame_is_like_itself() -> None:
    small = thumbnail(scene(6))
    assert not is_cut(small, small)


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_an_opening_ends_with_its_shot(count: int) -> None:
    lengths = [3, 1, 7, 2]
    frames = [scene(seed) for seed, length in enumerate(lengths) for _ in range(length)]
    items = list(split_shots(marked(frames), count))
    assert all(item.frame is frame for item, frame in zip(items, frames, strict=True))
    openings = {i: item.opening for i, item in enumerate(items) if item.opening is not None}
    assert list(openings) == [0, 3, 4, 11]
    for (begin, opening), length in zip(openings.items(), lengths, strict=True):
        assert len(opening) == min(count, length)
        assert all(one is frames[begin + i] for i, one in enumerate(opening))


@pytest.mark.parametrize("count", [1, 4])
def test_frames_are_read_when_they_are_needed(count: int) -> None:
    read = 0

    def source() -> Iterator[Frame]:
        nonlocal read
        for _ in range(12):
            read += 1
            yield scene(7)

    shots = split_shots(marked(source()), count)
    assert read == 0
    for number, _ in enumerate(shots):
        assert read == min(number + count, 12)


@pytest.mark.parametrize("count", [1, 3])
def test_no_frames_are_no_shots(count: int) -> None:
    assert list(split_shots(marked([]), count)) == []
