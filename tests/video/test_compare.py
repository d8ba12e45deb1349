"""Two clips side by side under labels, and a line of their pixels over time."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.video import Frame, plain_info
from magkit.video.compare import (
    GAP,
    Line,
    compared,
    compared_info,
    parse_line,
    right_halves,
    save_slices,
)

HEIGHT, WIDTH, COUNT = 60, 80, 5
INFO = plain_info(WIDTH, HEIGHT, Fraction(30), COUNT)


def clip(seed: int, kind: type = np.uint8) -> list[Frame]:
    rng = np.random.default_rng(seed)
    shape = (COUNT, HEIGHT, WIDTH, 3)
    return list(rng.integers(0, np.iinfo(kind).max, shape).astype(kind))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_both_stand_side_by_side(kind: type) -> None:
    before, after = clip(0, kind), clip(1, kind)
    both = list(compared(before, after, INFO, ("original", "x10")))
    info = compared_info(INFO)
    assert {frame.shape for frame in both} == {(info.height, info.width, 3)}
    assert info.height % 2 == info.width % 2 == 0
    assert both[0].dtype == kind
    for one, left, right in zip(both, before, after, strict=True):
        shown = one[-HEIGHT:]
        np.testing.assert_array_equal(shown[:, :WIDTH], left)
        np.testing.assert_array_equal(shown[:, -WIDTH:], right)
        assert (shown[:, WIDTH : WIDTH + GAP] == np.iinfo(kind).max).all()
    np.testing.assert_array_equal(list(right_halves(both, INFO)), after)


def test_the_labels_stand_above_their_pictures() -> None:
    frame = next(iter(compared(clip(0), clip(1), INFO, ("original", "x10"))))
    strip = frame[:-HEIGHT].min(2)
    dark = np.flatnonzero((strip < 100).any(0))
    left, right = dark[dark < WIDTH], dark[dark >= WIDTH + GAP] - WIDTH - GAP
    assert len(left) + len(right) == len(dark)
    for columns in (left, right):
        assert (columns[0] + columns[-1]) / 2 == pytest.approx(WIDTH / 2, abs=3)
    assert np.ptp(left) > np.ptp(right)
    assert strip.max() == 255


@pytest.mark.parametrize("size", [(1, 1), (9, 7), (4000, 3000)])
def test_clips_of_any_size_have_a_strip(size: tuple[int, int]) -> None:
    width, height = size
    info = plain_info(width, height, Fraction(30))
    frames = [np.zeros((height, width, 3), np.uint8)]
    (frame,) = compared(frames, frames, info, ("original", "x10"))
    made = compared_info(info)
    assert frame.shape == (made.height, made.width, 3)
    assert 10 < made.height - height <= 64


def test_clips_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        list(compared(clip(0), clip(1)[:3], INFO, ("a", "b")))


def test_lines() -> None:
    assert parse_line(" X=120 ") == Line("column", 120)
    assert str(parse_line("y=0")) == "y=0"
    for text in ("", "x", "x=", "x=-1", "z=3", "120", "x=1.5", "x=1,y=2", "x=9999999"):
        with pytest.raises(UsageError, match="is no line of pixels"):
            parse_line(text)
    parse_line("x=19").check_size(10, 20)
    for text in ("x=20", "y=10"):
        with pytest.raises(UsageError, match=f"the frame has no line {text}"):
            parse_line(text).check_size(10, 20)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("along", ["column", "row"])
def test_time_runs_to_the_right(tmp_path: Path, along: str, kind: type) -> None:
    before, after = clip(0, kind), clip(1, kind)
    line = parse_line("x=7" if along == "column" else "y=7")
    save_slices(tmp_path / "slice.png", before, after, line)
    picture = np.asarray(Image.open(tmp_path / "slice.png"))
    length = HEIGHT if along == "column" else WIDTH
    assert picture.shape == (2 * length + GAP, 600, 3)
    for top, frames in ((0, before), (length + GAP, after)):
        for number, frame in enumerate(frames):
            pixels = frame[:, 7] if along == "column" else frame[7]
            exact = pixels.astype(float) / np.iinfo(kind).max * 255
            part = picture[top : top + length, 120 * number : 120 * (number + 1)]
            assert np.abs(part - exact[:, None]).max() <= 0.5 + 1e-6


def test_slices_of_different_lengths_are_as_wide(tmp_path: Path) -> None:
    before, after = clip(0), [*clip(1), *clip(2)]
    save_slices(tmp_path / "slice.png", before, after, Line("column", 3))
    picture = np.asarray(Image.open(tmp_path / "slice.png"))
    np.testing.assert_array_equal(picture[:HEIGHT, ::120].swapaxes(0, 1), [f[:, 3] for f in before])
    np.testing.assert_array_equal(picture[-HEIGHT:, ::60].swapaxes(0, 1), [f[:, 3] for f in after])


def test_a_picture_is_not_replaced_unasked(tmp_path: Path) -> None:
    path, line = tmp_path / "slice.png", parse_line("x=0")
    path.write_text("mine")
    with pytest.raises(MagkitError, match="exists"):
        save_slices(path, clip(0), clip(1), line)
    assert path.read_text() == "mine"
    save_slices(path, clip(0), clip(1), line, overwrite=True)
    assert Image.open(path).size == (600, 2 * HEIGHT + GAP)
