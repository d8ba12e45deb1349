"""Regions by grid and by texture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magkit.errors import UsageError
from magkit.measure.regions import Region, grid, region_at, textured
from tests.measure.textures import Texture


def overlap(one: Region, other: Region) -> bool:
    across = one.left < other.left + other.width and other.left < one.left + one.width
    down = one.top < other.top + other.height and other.top < one.top + one.height
    return across and down


@given(st.integers(40, 300), st.integers(40, 300), st.integers(1, 5), st.integers(1, 5))
def test_a_grid_fills_the_frame(height: int, width: int, columns: int, rows: int) -> None:
    places = grid(height, width, columns, rows)
    assert len(places) == columns * rows
    covered = np.zeros((height, width), int)
    for each in places:
        each.check(height, width)
        covered[each.top : each.top + each.height, each.left : each.left + each.width] += 1
    assert covered.max() == 1
    assert (covered == 0).sum() < columns * height + rows * width


def test_a_grid_that_is_too_fine_is_refused() -> None:
    with pytest.raises(UsageError, match="too small"):
        grid(40, 40, 8, 2)


def test_the_square_around_a_point() -> None:
    region = region_at(50, 40, 21)
    assert region.centre == (50, 40)
    assert (region.width, region.height) == (21, 21)


def test_places_with_texture_cover_the_frame_and_keep_clear() -> None:
    frame, taken = Texture(240, 320).displaced(0), Region(0, 0, 100, 100, "taken")
    places = textured(frame, [taken])
    assert len(places) >= 10
    assert not any(overlap(each, taken) for each in places)
    assert not any(overlap(a, b) for i, a in enumerate(places) for b in places[:i])
    for each in places:
        each.check(240, 320)


def test_edges_in_one_direction_and_flat_ground_are_not_chosen() -> None:
    frame = np.full((240, 320), 0.5)
    frame[:, 40:80:8] = 1.0  # stripes
    frame[150:182, 200:232] = Texture(32, 32).displaced(0)
    places = textured(frame)
    assert places
    for each in places:
        assert overlap(each, Region(200, 150, 32, 32, ""))


def test_frames_without_texture_or_room_have_no_places() -> None:
    assert textured(np.full((100, 100), 0.3)) == []
    assert textured(np.random.default_rng(0).random((5, 100))) == []


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (Region(0, 0, 7, 20, "r"), "too small"),
        (Region(-1, 0, 20, 20, "r"), "outside"),
        (Region(0, 81, 20, 20, "r"), "outside"),
        (Region(0, 0, 200, 20, "r"), "outside"),
    ],
)
def test_regions_that_can_not_be(region: Region, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        region.check(100, 100)
