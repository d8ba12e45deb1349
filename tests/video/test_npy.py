"""NumPy's arrays are clips."""

import io
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from magkit.errors import MagkitError, UsageError
from magkit.video import ReadOptions, open_video

DEEP = ReadOptions(deep=True, bits=12, rate=Fraction(2000))
RATE = ReadOptions(deep=True, rate=Fraction(2000))


def save(folder: Path, array: NDArray[Any]) -> Path:
    np.save(folder / "shot.npy", array)
    return folder / "shot.npy"


def read(path: Path, options: ReadOptions = RATE) -> NDArray[Any]:
    return np.stack(list(open_video(path, options)))


@pytest.mark.parametrize("shape", [(3, 4, 6), (3, 4, 6, 3)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_bytes_are_read(tmp_path: Path, shape: tuple[int, ...], order: Any) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    path = save(tmp_path, np.array(array, order=order))
    info = open_video(path, RATE).info
    assert (info.width, info.height, info.frames, info.bits) == (6, 4, 3, 8)
    assert (read(path) == (array if len(shape) == 4 else array[..., None])).all()


@pytest.mark.parametrize("kind", ["<u2", ">u2"])
def test_every_code_of_twelve_bits_survives(tmp_path: Path, kind: str) -> None:
    codes = np.arange(4096, dtype=kind).reshape(2, 32, 64)
    path = save(tmp_path, codes)
    assert open_video(path, DEEP).info.bits == 12
    deep = read(path, DEEP)
    assert deep.dtype == np.dtype(np.uint16)
    assert (deep == np.rint(codes[..., None] * (65535 / 4095))).all()
    assert (np.rint(deep * (4095 / 65535)) == codes[..., None]).all()


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_floats_are_rounded_to_sixteen_bits(tmp_path: Path, kind: Any) -> None:
    array = np.linspace(0, 1, 72).astype(kind).reshape(3, 4, 6)
    path = save(tmp_path, array)
    assert open_video(path, RATE).info.bits == 16
    assert (read(path)[..., 0] == np.rint(array.astype(np.float64) * 65535)).all()
    flat = read(path, ReadOptions(rate=Fraction(2000)))[..., 0]
    assert np.abs(flat - array.astype(np.float64) * 255).max() < 0.51


@pytest.mark.parametrize("value", [-0.1, 1.5, np.nan, np.inf])
def test_floats_of_another_range_are_refused(tmp_path: Path, value: float) -> None:
    array = np.zeros((3, 4, 6))
    array[1, 2, 3] = value
    with pytest.raises(MagkitError, match="frame 2 holds values") as caught:
        read(save(tmp_path, array))
    assert "scale" in caught.value.hint


def test_no_rate_is_stated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = save(tmp_path, np.zeros((3, 4, 6), np.uint8))
    assert open_video(path, RATE).info.rate == 2000
    assert not caplog.records
    assert open_video(path).info.rate == 24
    assert "--fps" in caplog.text


def test_a_dark_array_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = save(tmp_path, np.full((3, 4, 6), 4000, np.uint16))
    assert open_video(path, RATE).info.bits == 16
    assert "--bits 12" in caplog.text


def test_a_part_is_cut(tmp_path: Path) -> None:
    array = np.arange(240, dtype=np.uint8).reshape(10, 4, 6)
    part = open_video(save(tmp_path, array), RATE, start=0.001, end=0.003)
    assert (np.stack(list(part))[..., 0] == array[2:6]).all()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 6), np.uint8), r"shape is \(4, 6\)"),
        (np.zeros((3, 4, 6, 4), np.uint8), r"shape is \(3, 4, 6, 4\)"),
        (np.zeros((0, 4, 6), np.uint8), r"shape is \(0, 4, 6\)"),
        (np.zeros((3, 4, 6), np.int64), "int64"),
        (np.zeros((3, 4, 6), np.complex64), "complex64"),
        (np.full((3, 4, 6), None), "object"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: NDArray[Any], message: str) -> None:
    with pytest.raises(MagkitError, match=message):
        open_video(save(tmp_path, array), RATE)


def header(text: str) -> bytes:
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize(
    "shape", ["(999999999, 4, 6)", f"(3, {10**30}, 6)", "(3, -4, -6)", "'abc'", "(3, 4, 6"]
)
def test_headers_that_the_file_contradicts_are_refused(tmp_path: Path, shape: str) -> None:
    told = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n"
    (tmp_path / "shot.npy").write_bytes(header(told) + bytes(72))
    with pytest.raises(MagkitError, match=r"shot\.npy"):
        open_video(tmp_path / "shot.npy", RATE)


def test_depths_of_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="8 bits"):
        open_video(save(tmp_path, np.zeros((3, 4, 6), np.uint8)), DEEP)


@given(st.data())
def test_any_truncation_is_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((3, 4, 6), np.uint8))
    whole = buffer.getvalue()
    path = tmp_path_factory.mktemp("cut") / "shot.npy"
    path.write_bytes(whole[: data.draw(st.integers(6, len(whole) - 1))])
    with pytest.raises(MagkitError, match=r"shot\.npy"):
        open_video(path, RATE)


def test_an_array_of_some_gigabytes_is_streamed(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    told = "{'descr': '<u2', 'fortran_order': False, 'shape': (3000, 1024, 1024), }"
    with (tmp_path / "big.npy").open("wb") as file:
        file.write(header(told + " " * (117 - len(told)) + "\n"))
        file.truncate(128 + 3000 * 2 * 1024 * 1024)  # 6 GB without content
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count = sum(1 for _ in open_video(tmp_path / "big.npy", RATE, start=1.45))
    assert count == 100
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # kB
