"""Clips in memory are read like files of the same values."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from magkit.errors import UsageError
from magkit.video import ReadOptions, open_video
from magkit.video.arrays import exact_rate, open_source

SHAPE = (3, 5, 7)


def values(dtype: str, shape: tuple[int, ...] = SHAPE) -> NDArray[Any]:
    rng, kind = np.random.default_rng(0), np.dtype(dtype)
    if kind.kind == "f":
        return rng.random(shape).astype(kind)
    return rng.integers(0, np.iinfo(kind).max, shape, endpoint=True, dtype=kind.newbyteorder("="))


@pytest.mark.parametrize("shape", [SHAPE, (*SHAPE, 3)])
@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "f4", "f8"])
def test_an_array_is_the_file_of_it(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = values(dtype, shape).astype(dtype)
    np.save(tmp_path / "shot.npy", array)
    rate = Fraction(30)
    file = open_video(tmp_path / "shot.npy", ReadOptions(rate=rate, deep=True))
    video = open_source(array, 30).video
    assert video.info == file.info
    assert np.array_equal(list(video), list(file))
    assert np.array_equal(list(video), list(video))  # it can be read again


@given(
    st.sampled_from(["u1", "<u2", ">u2", "f2", "f4", "f8"]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_frames_come_back_in_their_own_type(dtype: str, colour: bool, seed: int) -> None:
    shape = (*SHAPE, 3) if colour else SHAPE
    drawn = np.random.default_rng(seed).random(shape)
    full = 1 if dtype[0] == "f" else np.iinfo(dtype).max
    array = (drawn * full).astype(dtype)
    opened = open_source(array, 30)
    back = [opened.restore(frame) for frame in opened.video]
    assert {frame.dtype for frame in back} == {array.dtype}
    error = np.abs(np.array(back, float) - array.astype(float)).max()
    rounding = {"f2": 5e-4, "f4": 0.51 / 65535, "f8": 0.51 / 65535}
    assert error <= rounding.get(dtype, 0)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_significant_bits_come_back(bits: int) -> None:
    codes = np.linspace(0, 2**bits - 1, 2 * 8 * 64).round().astype(np.uint16).reshape(2, 8, 64)
    opened = open_source(codes, 30, bits=bits)
    assert max(frame.max() for frame in opened.video) == (255 if bits == 8 else 65535)
    assert np.array_equal([opened.restore(frame) for frame in opened.video], codes)


def test_tensors_and_iterables() -> None:
    array = values("f4")
    expected = list(open_source(array, 30).video)
    for source in (torch.from_numpy(array), list(array), (torch.from_numpy(f) for f in array)):
        opened = open_source(source, 30)
        assert np.array_equal(list(opened.video), expected)
    assert open_source(list(array), 30).video.info.frames == 3
    assert open_source(iter(array), 30).video.info.frames is None


def test_an_iterator_is_read_once_but_shows_its_first_frame() -> None:
    video = open_source(iter(values("u1")), 30).video
    first = next(iter(video))
    assert np.array_equal(first, next(iter(video)))
    with pytest.raises(UsageError, match="only once"):
        list(video) and list(video)


def test_frames_are_taken_as_they_are_needed() -> None:
    taken = []

    def frames() -> Iterator[NDArray[Any]]:
        for number in range(9):
            taken.append(number)
            yield values("u1")[0]

    video = iter(open_source(frames(), 30).video)
    next(video)
    assert len(taken) == 2


NAN = values("f4")
NAN[1, 0, 0] = np.nan


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (values("u1", (5, 7)), "no clip"),
        (values("u1", (5, 7, 3)), "no clip"),
        (values("u1", (4, 5, 7, 4)), "no clip"),
        (values("u1", (4, 3, 5, 7)), "no clip"),
        (values("u1", (4, 5, 7, 1)), "no clip"),
        (values("u1", (0, 5, 7)), "has no frames"),
        (values("u1", (1, 5, 7)), "only one frame"),
        (values("i8"), "not int64"),
        (values("u1") > 9, "not bool"),
        (np.array([["a"]] * 4), "no clip"),
        (torch.zeros(3, 5, 7, dtype=torch.bfloat16), "no array"),
        (values("f4") * 255, "frame 1 holds values from"),
        (-values("f4"), "frame 1 holds values from"),
        (NAN, "frame 2 holds values that are no numbers"),
        ([], "there are no frames"),
        ([values("u1")[0]], "only one frame"),
        ([values("u1")[0], values("u1", (5, 8))], "frame 2 is uint8"),
        ([values("u1")[0], values("f4")[0]], "frame 2 is float32"),
        ([[1, 2], [3, 4]], "no picture"),
        ({"a": 1, "b": 2}, "no picture"),
        (3, "a int is no clip"),
        (None, "a NoneType is no clip"),
    ],
)
def test_what_is_no_clip(source: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        list(open_source(source, 30).video)


def test_hints_tell_what_to_do() -> None:
    for shape, hint in {
        (5, 7, 3): "one picture",
        (4, 3, 5, 7): "moveaxis",
        (4, 5, 7, 1): "frames[..., 0]",
        (4, 5, 7, 4): "transparency",
    }.items():
        with pytest.raises(UsageError, match="no clip") as caught:
            open_source(values("u1", shape))
        assert hint in caught.value.hint


@pytest.mark.parametrize("options", [{"fps": 5}, {"bits": 12}, {"start": 1.0}, {"end": 2.0}])
def test_an_opened_clip_takes_no_options(options: dict[str, Any]) -> None:
    video = open_source(values("u1")).video
    with pytest.raises(UsageError, match="when a clip is opened"):
        open_source(video, **options)


def test_arrays_have_no_parts() -> None:
    with pytest.raises(UsageError, match="of files"):
        open_source(values("u1"), start=1.0)


@pytest.mark.parametrize("bits", [12, 8])
def test_floats_have_no_depth(bits: int) -> None:
    with pytest.raises(UsageError, match="whatever the depth"):
        open_source(values("f4"), 30, bits=bits)


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (30, Fraction(30)),
        (29.97, Fraction(30000, 1001)),
        (499.9, Fraction(4999, 10)),
        (1000 / 3, Fraction(1000, 3)),
        (499.98765, Fraction(9999753, 20000)),
        (np.float64(20000), Fraction(20000)),
        (Fraction(30000, 1001), Fraction(30000, 1001)),
    ],
)
def test_rates(fps: Any, rate: Fraction) -> None:
    assert exact_rate(fps) == rate


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), "30", None])
def test_impossible_rates(fps: Any) -> None:
    if fps is None:
        assert open_source(values("u1"), fps).video.info.rate == 24
        return
    with pytest.raises(UsageError, match="frame rate"):
        open_source(values("u1"), fps)
