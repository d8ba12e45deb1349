"""Folders of frames that are named by the clock."""

from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from magkit.errors import MagkitError
from magkit.video import ReadOptions, open_video
from magkit.video.frame_names import clock_times, count_steps
from magkit.video.stitch import open_stitch

FORMS = [
    "%H-%M-%S",
    "%H_%M_%S",
    "%H.%M.%S",
    "cam2_%H-%M-%S_left",
    "%Y%m%d_%H%M%S",
    "%Y%m%d%H%M%S",
    "%Y%m%dT%H%M%S",
    "%Y-%m-%d_%H-%M-%S",
    "%Y-%m-%d %H.%M.%S",
    "PXL_%Y%m%d_%H%M%S000",
    "Screenshot %Y-%m-%d at %I.%M.%S %p",
    "Screenshot %Y-%m-%d at %I.%M.%S\u202f%p",
    "frame-%Y-%m-%d-%H-%M-%S.%f",
]


def fill(folder: Path, names: list[str], suffix: str = ".png") -> None:
    """Pictures of these names, each of the grey that its place counts."""
    for number, name in enumerate(names):
        Image.new("L", (4, 4), number).save(folder / f"{name}{suffix}")


def greys(folder: Path, *, gaps: bool = False) -> list[int]:
    return [int(frame[0, 0, 0]) for frame in open_video(folder, ReadOptions(gaps=gaps))]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("step", [1, 5, 60, 3600])
@pytest.mark.parametrize(
    "begin", [datetime(2026, 1, 1, 11, 59, 57), datetime(2025, 12, 31, 23, 59, 58)]
)
def test_frames_come_in_the_order_of_the_clock(
    tmp_path: Path, form: str, step: int, begin: datetime
) -> None:
    times = [begin + timedelta(seconds=step * number) for number in range(5)]
    fill(tmp_path, [time.strftime(form) for time in times])
    video = open_video(tmp_path)
    assert video.info.times is None
    assert [int(frame[0, 0, 0]) for frame in video] == [0, 1, 2, 3, 4]
    assert [int(frame[0, 0, 0]) for frame in open_stitch(tmp_path)] == [0, 1, 2, 3, 4]


def test_an_hour_of_one_digit_needs_its_half_of_the_day(tmp_path: Path) -> None:
    fill(tmp_path, ["9.59.59 AM", "10.00.00 AM", "10.00.01 AM"])
    assert greys(tmp_path) == [0, 1, 2]
    assert clock_times([Path(f"9.59.5{n}.png") for n in range(3)]) is None


def test_fractions_of_seconds_are_no_whole_numbers(tmp_path: Path) -> None:
    fill(tmp_path, ["12-00-59", "12-00-59.25", "12-00-59.5", "12-00-59.75", "12-01-00"])
    assert greys(tmp_path) == [0, 1, 2, 3, 4]


def test_steps_that_a_camera_cannot_keep_exactly_are_even(tmp_path: Path) -> None:
    fill(tmp_path, [f"20260101_1200{time}" for time in ("58933", "58966", "59000", "59034")])
    assert greys(tmp_path) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("seconds", "numbers"),
    [
        ((57, 58, 60, 61), (0, 1, 3, 4)),
        ((50, 55, 60, 75), (0, 1, 2, 5)),
        ((50, 60, 65, 70), (0, 2, 3, 4)),
        ((58, 60, 62, 65), (0, 1, 2, 4)),
    ],
)
def test_a_longer_step_is_a_gap(
    tmp_path: Path, seconds: tuple[int, ...], numbers: tuple[int, ...]
) -> None:
    begin = datetime(2026, 1, 1, 12)
    times = [begin + timedelta(seconds=second) for second in seconds]
    fill(tmp_path, [time.strftime("%H-%M-%S") for time in times])
    before = next(place for place in range(3) if numbers[place + 1] - numbers[place] > 1)
    with pytest.raises(MagkitError, match=times[before].strftime("%H-%M-%S")) as caught:
        open_video(tmp_path)
    assert "--gaps" in caught.value.hint
    video = open_video(tmp_path, ReadOptions(gaps=True))
    assert video.info.times == pytest.approx([n / 24 for n in (*numbers, numbers[-1] + 1)])
    assert len(list(video)) == 4
    assert open_stitch(tmp_path, ReadOptions(gaps=True)).missing.count == numbers[-1] - 3


@given(
    st.integers(1, 10**6),
    st.lists(st.integers(1, 9), min_size=1).filter(
        lambda counts: counts.count(1) * 2 > len(counts)
    ),
)
def test_steps_are_counted_in_the_usual_one(milliseconds: int, counts: list[int]) -> None:
    step = Fraction(milliseconds, 1000)
    numbers = [0, *np.cumsum(counts).tolist()]
    assert count_steps([5 + number * step for number in numbers]) == (step, numbers)


@pytest.mark.parametrize(
    "names",
    [
        ["000058", "000059", "000100"],
        ["120058", "120059", "120100"],
        ["frame_120058", "frame_120059", "frame_120100"],
        ["20260131", "20260201", "20260202"],
        ["2026-01-31", "2026-02-01", "2026-02-02"],
        ["01-01-2026", "02-01-2026", "03-02-2026"],
        ["12-00-58", "12-00-61", "12-00-64"],
        ["24-00-58", "24-00-59", "24-01-00"],
        ["20261301_120058", "20261301_120059", "20261301_120100"],
        ["20260229_120058", "20260229_120059", "20260229_120100"],
        ["a_12-00-58", "b_12-00-59", "c_12-01-00"],
        ["12-00-58", "12-00-59", "12-01-00", "12-01-00.0"],
        ["01_02_05", "01_02_07"],
        ["13.00.58 PM", "13.00.59 PM", "13.01.00 PM"],
    ],
)
def test_other_numbers_are_no_clock(names: list[str]) -> None:
    assert clock_times([Path(f"{name}.png") for name in names]) is None


def test_names_that_count_one_by_one_are_numbers(tmp_path: Path) -> None:
    fill(tmp_path, [f"{part:02d}-10-{part:02d}" for part in range(4)])
    assert greys(tmp_path) == [0, 1, 2, 3]
    assert open_stitch(tmp_path).missing.count == 0


def test_a_plain_number_with_gaps_stays_refused(tmp_path: Path) -> None:
    fill(tmp_path, ["000058", "000059", "000100"])
    with pytest.raises(MagkitError, match=r"missing.*60, 61, 62"):
        open_video(tmp_path)
