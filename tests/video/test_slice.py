"""Lines of pixels over time."""

import gc
import weakref
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pytest

from magkit.errors import MagkitError, UsageError
from magkit.video.stitch import side_by_side, time_slice, upscale

FRAMES = list(np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), np.uint8))


def test_a_column_shows_time_to_the_right() -> None:
    picture = time_slice(iter(FRAMES), 2)
    assert picture.shape == (4, 6, 3)
    for time, frame in enumerate(FRAMES):
        np.testing.assert_array_equal(picture[:, time], frame[:, 2])


def test_a_row_shows_time_downwards() -> None:
    picture = time_slice(FRAMES, 3, "row")
    assert picture.shape == (6, 5, 3)
    for time, frame in enumerate(FRAMES):
        np.testing.assert_array_equal(picture[time], frame[3])


@pytest.mark.parametrize("along", ["column", "row"])
def test_frames_are_let_go_as_they_pass(along: Literal["column", "row"]) -> None:
    alive: list[weakref.ref[Any]] = []

    def source() -> Iterator[Any]:
        for frame in FRAMES:
            held = frame.copy()
            alive.append(weakref.ref(held))
            yield held
            del held
            gc.collect()
            assert sum(ref() is not None for ref in alive) <= 1  # the consumer's

    time_slice(source(), 2, along)


@pytest.mark.parametrize(("position", "along"), [(5, "column"), (4, "row"), (-1, "row")])
def test_lines_that_are_not_there(position: int, along: str) -> None:
    with pytest.raises(UsageError, match=f"has the {along}s 0 to"):
        time_slice(FRAMES, position, along)  # type: ignore[arg-type]


def test_no_frames() -> None:
    with pytest.raises(MagkitError, match="no frames"):
        time_slice([], 0)


def test_pictures_beside_one_another() -> None:
    joined = side_by_side(FRAMES[:2], gap=3)
    assert joined.shape == (4, 13, 3)
    np.testing.assert_array_equal(joined[:, :5], FRAMES[0])
    np.testing.assert_array_equal(joined[:, 8:], FRAMES[1])
    assert (joined[:, 5:8] == 255).all()


def test_pixels_grow() -> None:
    large = upscale(FRAMES[0], 3)
    assert large.shape == (12, 15, 3)
    np.testing.assert_array_equal(large[1::3, 1::3], FRAMES[0])
