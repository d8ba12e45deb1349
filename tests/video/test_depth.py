"""16-bit files whose values use fewer bits: told by the file, stated, or warned of."""

import logging
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.video import ReadOptions
from magkit.video.folder import open_folder
from magkit.video.stitch import open_stitch

TONES = np.array([[3, 1000, 2047, 4095]], np.uint16)
OF_12_BITS = [round(int(tone) * 255 / 4095) for tone in TONES[0]]
OF_16_BITS = [round(int(tone) * 255 / 65535) for tone in TONES[0]]


def tiff(path: Path, values: NDArray[np.uint16], **tags: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(values).save(path, **tags)


def png(path: Path, values: NDArray[np.uint16], significant: int | None) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(values).save(path)
    if significant is not None:
        content = path.read_bytes()
        chunk = b"sBIT" + bytes([significant])
        whole = struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk))
        path.write_bytes(content[:33] + whole + content[33:])  # behind IHDR


def levels(folder: Path, bits: int | None = None) -> list[int]:
    _, stream = open_folder(folder, ReadOptions(bits=bits))
    return [int(value) for value in next(stream(0, 1))[0, :, 0]]


@pytest.mark.parametrize(
    "tags",
    [
        {"tiffinfo": {281: 4095}},
        {"tiffinfo": {341: 4095}},
        {"description": "ImageJ=1.54f\nmin=0.0\nmax=4095.0\n"},
        {"description": '<OME><Pixels SignificantBits="12" SizeX="4"/></OME>'},
    ],
)
def test_a_tiff_tells_its_depth(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, tags: dict[str, Any]
) -> None:
    tiff(tmp_path / "a" / "1.tif", TONES, **tags)
    assert levels(tmp_path / "a") == OF_12_BITS
    assert open_folder(tmp_path / "a")[0].bits == 12
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "tags",
    [
        {"tiffinfo": {281: 3800}},  # a statistic of the pixels
        {"tiffinfo": {281: 1023}},  # which the values disprove
        {"description": "ImageJ=1.54f\nmin=120.0\nmax=4095.0\n"},  # a range to display
        {"description": "max=4095.0\n"},
    ],
)
def test_what_is_no_depth_is_not_taken_for_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, tags: dict[str, Any]
) -> None:
    tiff(tmp_path / "a" / "1.tif", TONES, **tags)
    assert levels(tmp_path / "a") == OF_16_BITS
    assert "--bits 12" in caplog.text


def packed(values: NDArray[np.uint16]) -> bytes:
    """A TIFF whose greys have 12 bits each, without gaps."""
    bits = (values[..., None] >> np.arange(11, -1, -1)) & 1
    pixels = np.packbits(bits.astype(np.uint8).reshape(len(values), -1), axis=1).tobytes()
    height, width = values.shape
    tags = {256: width, 257: height, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 279: len(pixels)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels
    return head + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_packed_greys_have_the_depth_of_their_packing(tmp_path: Path) -> None:
    (tmp_path / "1.tif").write_bytes(packed(TONES))
    assert levels(tmp_path) == OF_12_BITS
    assert open_folder(tmp_path)[0].bits == 12


def test_a_png_tells_its_depth_by_its_significant_bits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # The standard scales values up; some programs don't.
    scaled = np.round(TONES * (65535 / 4095)).astype(np.uint16)
    for name, values in (("scaled", scaled), ("shifted", TONES * np.uint16(16)), ("bare", TONES)):
        png(tmp_path / name / "1.png", values, 12)
        assert levels(tmp_path / name) == pytest.approx(OF_12_BITS, abs=name == "shifted")
        assert open_folder(tmp_path / name)[0].bits == 12
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_dark_png_stays_dark(tmp_path: Path) -> None:
    dark = np.array([[0, 16, 800, 4080]], np.uint16)  # 12 bits, scaled: the lowest 4 are empty
    png(tmp_path / "a" / "1.png", dark, 12)
    assert levels(tmp_path / "a") == [0, 0, 3, 16]


def test_the_stated_depth_is_taken_before_what_files_say(tmp_path: Path) -> None:
    tiff(tmp_path / "a" / "1.tif", TONES, tiffinfo={281: 4095})
    assert levels(tmp_path / "a", bits=14) == [round(int(t) * 255 / 16383) for t in TONES[0]]
    info, stream = open_folder(tmp_path / "a", ReadOptions(bits=12, deep=True))
    assert info.bits == 12
    frame = next(stream(0, 1))
    assert frame.dtype == np.uint16
    assert frame[0, :, 2].tolist() == [round(int(tone) * 65535 / 4095) for tone in TONES[0]]


def test_without_a_depth_the_range_that_is_used_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(40):
        tiff(tmp_path / "a" / f"{number}.tif", TONES + number % 40)
    info, _ = open_folder(tmp_path / "a")
    assert info.bits == 16
    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.name.startswith("magkit.video")
    for told in ("3 to 4,134", "65,535", "16 of 40", "--bits 14"):
        assert told in record.getMessage()


@pytest.mark.parametrize("brightest", [0, 16384, 65535])
def test_no_warning_where_16_bits_are_used_or_all_is_black(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, brightest: int
) -> None:
    tiff(tmp_path / "a" / "1.tif", np.array([[0, brightest]], np.uint16))
    open_folder(tmp_path / "a")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_depth_that_can_not_be_is_refused(tmp_path: Path) -> None:
    tiff(tmp_path / "a" / "1.tif", TONES)
    with pytest.raises(MagkitError, match=r"1\.tif .*4,095, .*1,023") as caught:
        levels(tmp_path / "a", bits=10)
    assert "--bits 12" in caught.value.hint
    with pytest.raises(UsageError, match="not 17"):
        levels(tmp_path / "a", bits=17)
    Image.new("RGB", (4, 1)).save(tmp_path / "1.png")
    with pytest.raises(UsageError, match="8 bits a value, not 12"):
        open_folder(tmp_path, ReadOptions(bits=12))


def test_8_bit_pictures_among_16_bit_ones_keep_their_own_scale(tmp_path: Path) -> None:
    tiff(tmp_path / "a" / "1.tif", TONES)
    Image.fromarray(np.array([[0, 7, 100, 255]], np.uint8)).save(tmp_path / "a" / "2.png")
    _, stream = open_folder(tmp_path / "a", ReadOptions(bits=12))
    assert [frame[0, :, 0].tolist() for frame in stream(0, 2)] == [OF_12_BITS, [0, 7, 100, 255]]


def test_deep_frames_are_strung_by_their_depth(tmp_path: Path) -> None:
    tiff(tmp_path / "a" / "1.tif", TONES)
    (tmp_path / "b").mkdir()
    Image.fromarray(np.array([[0, 7, 100, 255]], np.uint8)).save(tmp_path / "b" / "1.png")
    strip = open_stitch(tmp_path / "a", ReadOptions(bits=12), others=[tmp_path / "b"])
    (frame,) = strip
    assert frame[0, :4, 0].tolist() == OF_12_BITS
    assert frame[0, -4:, 0].tolist() == [0, 7, 100, 255]
    assert strip.info.bits == 8
    with pytest.raises(UsageError, match="8 bits a value, not 12"):
        open_stitch(tmp_path / "b", ReadOptions(bits=12))
