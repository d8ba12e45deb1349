"""The sidecar gives back what was written, and nothing but what magkit writes."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from magkit.errors import MagkitError
from magkit.video import ReadOptions, open_video, plain_info, write_video
from magkit.video.folder import open_folder, read_sidecar, write_frame, write_sidecar

steps = st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=20)
rates = st.fractions(min_value=Fraction(1, 1000), max_value=10_000)


@settings(max_examples=50, deadline=None)
@given(steps, rates, st.integers(8, 16))
def test_times_and_depth_come_back_to_the_bit(
    durations: list[float], rate: Fraction, bits: int
) -> None:
    times = tuple(float(time) for time in np.concatenate([[0], np.cumsum(durations)]))
    frames = len(durations)
    info = replace(plain_info(6, 4, rate, frames), times=times, bits=bits)
    with TemporaryDirectory() as folder:
        write_sidecar(Path(folder), info)
        assert read_sidecar(Path(folder), plain_info(6, 4, Fraction(24), frames)) == info


def test_what_is_usual_is_not_written(tmp_path: Path) -> None:
    write_sidecar(tmp_path, plain_info(6, 4, Fraction(30000, 1001), 3))
    record = json.loads((tmp_path / "magkit.json").read_text())
    assert record["rate"] == "30000/1001"
    assert not record.keys() & {"times", "bits"}


def _folder(folder: Path, record: str | bytes, frames: int = 2) -> Path:
    for number in range(frames):
        Image.new("RGB", (2, 2)).save(folder / f"{number:06d}.png")
    (folder / "magkit.json").write_bytes(record.encode() if isinstance(record, str) else record)
    return folder


def test_frames_keep_their_times(tmp_path: Path) -> None:
    info, _ = open_folder(_folder(tmp_path, '{"rate": "4/1", "times": [0, 0.25, 1]}'))
    assert info.times == (0, 0.25, 1)
    info, _ = open_folder(tmp_path, ReadOptions(rate=Fraction(5)))
    assert info.rate == 5
    assert info.times is None


def test_a_mark_of_byte_order_is_passed_over(tmp_path: Path) -> None:
    assert open_video(_folder(tmp_path, b'\xef\xbb\xbf{"rate": "5/1"}')).info.rate == 5


def test_a_folder_of_16_bit_frames_comes_back_to_the_bit(tmp_path: Path) -> None:
    # Dark ones too: the depth of where they come from says nothing of their own range.
    frames = np.random.default_rng(0).integers(0, 900, (3, 4, 6, 3), np.uint16)
    info = replace(plain_info(6, 4, Fraction(24), 3), bits=10)
    for index, frame in enumerate(frames):
        write_frame(tmp_path, index, frame)
    write_sidecar(tmp_path, info)
    found, stream = open_folder(tmp_path, ReadOptions(deep=True))
    assert found == info
    assert np.array_equal(np.stack(list(stream(0, 3))), frames)


def test_8_bit_frames_of_a_deeper_clip_have_8_bits(tmp_path: Path) -> None:
    info = replace(plain_info(2, 2, Fraction(24), 1), bits=10)
    write_video(tmp_path / "a", [np.full((2, 2, 3), 7, np.uint8)], info)
    assert open_video(tmp_path / "a").info.bits == 8


@pytest.mark.parametrize(
    "record",
    [
        "nonsense",
        "[]",
        "[" * 100_000,
        '{"rate": "0/1"}',
        '{"rate": "1/0"}',
        '{"rate": null}',
        '{"rate": "1e999999999"}',
        '{"rate": true}',
        '{"color_range": "wide"}',
        '{"color_matrix": "bt709,hue=90"}',
        '{"color_matrix": "purple"}',
        '{"color_matrix": 7}',
        '{"width": 99}',
        '{"width": "x"}',
        '{"speed": 2}',
        '{"bits": 0}',
        '{"bits": 10.5}',
        '{"bits": true}',
        '{"times": 2}',
        '{"times": [0, 1]}',
        '{"times": [0, 1, 2, 3]}',
        '{"times": [0, 1, 1]}',
        '{"times": [0, 2, 1]}',
        '{"times": [1, 2, 3]}',
        '{"times": [0, 1, NaN]}',
        '{"times": [0, 1, Infinity]}',
        '{"times": [0, 1, "2"]}',
        '{"times": [false, 1, 2]}',
        f'{{"times": [0, 1, {10**400}]}}',
    ],
)
def test_a_sidecar_that_is_wrong_is_refused(tmp_path: Path, record: str) -> None:
    with pytest.raises(MagkitError, match=r"magkit\.json"):
        open_video(_folder(tmp_path, record))


def test_a_sidecar_too_large_to_be_one_is_not_read(tmp_path: Path) -> None:
    _folder(tmp_path, "{}")
    with (tmp_path / "magkit.json").open("wb") as file:
        file.truncate(1 << 27)
    with pytest.raises(MagkitError, match="larger than"):
        open_video(tmp_path)
