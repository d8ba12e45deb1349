"""The slices of real clips are cut where something moves."""

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture(scope="module")
def clips() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "clips.py"))


def swinging(across: bool) -> Iterator[NDArray[np.uint8]]:
    """Still stripes, and a square at rows 40-55 and columns 10-25 that swings a little."""
    for time in range(12):
        frame = np.full((72, 72, 3), 90, np.uint8)
        frame[::12] = frame[:, ::12] = 240
        shift = round(2 * np.sin(time))
        square = frame[40:56, 10 + shift : 26 + shift] if across else frame[40 + shift : 56 + shift]
        square[:, slice(None) if across else slice(10, 26)] = 200
        yield frame


@pytest.mark.parametrize("across", [True, False])
def test_the_line_runs_along_the_motion(clips: dict[str, Any], across: bool) -> None:
    line, position = clips["choose_line"](swinging(across))
    assert line == ("row" if across else "column")
    low, high = (39, 56) if across else (9, 26)
    assert low <= position <= high


def test_a_slice_shows_both_with_time_to_the_right(clips: dict[str, Any]) -> None:
    frames = list(swinging(across=True))
    picture = clips["draw_slice"](frames, frames, "row", 45)
    half = (picture.shape[1] - 8) // 2
    assert picture.shape[0] == 72
    assert half == 12 * round(400 / 12)
    assert (picture[:, :half] == picture[:, half + 8 :]).all()


def test_each_clip_of_the_literature_is_magnified_as_there(clips: dict[str, Any]) -> None:
    names = {
        clip: [str(way) for way in clips["settings"](clip)] for clip in ("evm_guitar", "water")
    }
    assert names["evm_guitar"] == ["static_x10", "dynamic_x10", "static_x50_72-92Hz"]
    assert names["water"] == ["static_x10", "dynamic_x10"]
