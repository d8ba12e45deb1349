"""Recordings of Phantom cameras, written by the test and compared with ffmpeg's reading."""

import struct
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from magkit.errors import MagkitError, UsageError
from magkit.video import ReadOptions, open_video
from magkit.video.cine import open_cine

Ffmpeg = Callable[..., str]
Codes = NDArray[np.uint16]

DEEP = ReadOptions(deep=True)

SETUP = 84
LENGTH = 10412  # of a setup that has the precise rate


def packed(codes: Codes, bits: int) -> bytes:
    """Values one after another, the most significant bit first."""
    text = "".join(f"{code:0{bits}b}" for code in codes.ravel())
    text += "0" * (-len(text) % 8)
    return bytes(int(text[place : place + 8], 2) for place in range(0, len(text), 8))


def pixels(frame: Codes, bits: int, *, packing: int, top_down: bool, align: int) -> bytes:
    if packing:
        return packed(frame, bits)
    rows = frame if top_down else frame[::-1]
    rows = rows[..., ::-1] if frame.ndim == 3 else rows  # blue first
    kind = "<u1" if bits == 8 else "<u2"
    data = [row.astype(kind).tobytes() for row in rows]
    return b"".join(row + b"\xee" * (-len(row) % align) for row in data)


def cine(
    codes: Codes,
    bits: int = 12,
    *,
    stored: int = 0,
    packing: int = 0,
    top_down: bool = False,
    align: int = 1,
    compression: int = 0,
    cfa: int = 0,
    rate: int = 1000,
    precise: float = 0.0,
    length: int = LENGTH,
    version: int = 1,
    gap: int = 0,
) -> bytes:
    """A file of frames (T, H, W) or (T, H, W, 3); annotations grow from frame to frame."""
    stored = stored or (8 if bits == 8 else 16)
    height, width = codes.shape[1:3]
    channels = 3 if codes.ndim == 4 else 1
    table = SETUP + LENGTH + 12
    head = struct.pack("<2s3HiIiI3IQ", b"CI", 44, compression, version, -7, 99, -2, len(codes),
                       44, SETUP, table, 0)  # fmt: skip
    parts = [
        pixels(frame, bits, packing=packing, top_down=top_down, align=align) for frame in codes
    ]
    signed = -height if top_down else height
    bitmap = struct.pack("<Iii2H2I2i2I", 40, width, signed, 1, stored * channels, packing,
                         len(parts[0]), 0, 0, 0, 0)  # fmt: skip
    setup = bytearray(LENGTH + 12)
    struct.pack_into("<2sH", setup, 140, b"ST", length)
    for place, value in ((768, rate), (808, cfa), (896, bits)):
        struct.pack_into("<I", setup, place, value)
    struct.pack_into("<d", setup, 10400, precise)
    start, offsets, body = table + 8 * len(codes) + gap, [], b""
    for number, part in enumerate(parts):
        offsets.append(start + len(body))
        note = b"\x55" * number
        body += struct.pack("<I", 8 + number) + note + struct.pack("<I", len(part)) + part
    places = struct.pack(f"<{len(codes)}q", *offsets)
    return head + bitmap + bytes(setup) + places + bytes(gap) + body


def save(folder: Path, data: bytes) -> Path:
    path = folder / "shot.cine"
    path.write_bytes(data)
    return path


def ramp(bits: int, *shape: int) -> Codes:
    codes: Codes = np.linspace(0, 2**bits - 1, int(np.prod(shape))).astype(np.uint16)
    return codes.reshape(shape)


def codes_of(path: Path, bits: int) -> Codes:
    frames = np.stack(list(open_video(path, DEEP)))
    white = 255 if frames.dtype == np.uint8 else 65535
    codes: Codes = np.rint(frames / white * (2**bits - 1)).astype(np.uint16)
    return codes


@pytest.mark.parametrize("top_down", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_both_orders_of_rows_are_read(tmp_path: Path, bits: int, *, top_down: bool) -> None:
    codes = ramp(bits, 3, 4, 6)
    path = save(tmp_path, cine(codes, bits, top_down=top_down))
    info = open_video(path).info
    assert (info.width, info.height, info.frames, info.bits) == (6, 4, 3, bits)
    assert info.rate == 1000
    assert (codes_of(path, bits) == codes[..., None]).all()


@pytest.mark.parametrize(("bits", "packing"), [(10, 256), (12, 1024)])
def test_packed_codes_are_read(tmp_path: Path, bits: int, packing: int) -> None:
    codes = np.arange(2**bits, dtype=np.uint16).reshape(2, 2 ** (bits - 7), 64)
    path = save(tmp_path, cine(codes, bits, stored=16, packing=packing))
    assert open_video(path).info.bits == bits
    assert (codes_of(path, bits) == codes[..., None]).all()


@pytest.mark.parametrize("bits", [8, 14])
def test_rows_may_be_padded(tmp_path: Path, bits: int) -> None:
    codes = ramp(bits, 2, 3, 5)
    path = save(tmp_path, cine(codes, bits, align=4))
    assert (codes_of(path, bits) == codes[..., None]).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_interpolated_colours_are_read(tmp_path: Path, bits: int) -> None:
    codes = ramp(bits, 2, 3, 4, 3)
    path = save(tmp_path, cine(codes, bits))
    assert (codes_of(path, bits) == codes).all()


@pytest.mark.parametrize(
    ("options", "pixel_format"),
    [
        ({"bits": 8}, "gray"),
        ({"bits": 16}, "gray16le"),
        ({"bits": 10, "stored": 16, "packing": 256}, "gray16le"),
        ({"bits": 8, "colour": True}, "rgb24"),
        ({"bits": 16, "colour": True}, "rgb48le"),
    ],
)
def test_ffmpeg_agrees(
    tmp_path: Path, ffmpeg: Ffmpeg, options: dict[str, int], pixel_format: str
) -> None:
    given = dict(options)
    shape = (3, 4, 8, 3) if given.pop("colour", False) else (3, 4, 8)
    codes = ramp(given["bits"], *shape)
    path = save(tmp_path, cine(codes, **given))  # type: ignore[arg-type]
    ffmpeg("-i", path, "-pix_fmt", pixel_format, "-f", "rawvideo", tmp_path / "out.raw")
    kind = np.uint8 if given["bits"] == 8 else np.uint16
    other = np.fromfile(tmp_path / "out.raw", kind).reshape(shape).astype(np.uint16)
    if given["bits"] == 10:
        other //= 64
    mine = codes_of(path, given["bits"])
    assert (mine == (other if other.ndim == 4 else other[..., None])).all()


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ({"rate": 100_000}, Fraction(100_000)),
        ({"rate": 59, "precise": 59.94}, Fraction(2997, 50)),
        ({"rate": 59, "precise": 59.94, "length": 9344}, Fraction(59)),
        ({"rate": 59, "precise": float("nan")}, Fraction(59)),
        ({"rate": 59, "precise": -1.0}, Fraction(59)),
        ({"rate": 0}, Fraction(24)),
    ],
)
def test_the_rate_is_that_of_the_camera(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, options: dict[str, int], rate: Fraction
) -> None:
    path = save(tmp_path, cine(ramp(8, 3, 4, 6), 8, **options))  # type: ignore[arg-type]
    assert open_video(path).info.rate == rate
    assert bool(caplog.records) == (options["rate"] == 0)


def test_a_part_is_cut(tmp_path: Path) -> None:
    codes = ramp(12, 10, 4, 6)
    part = open_video(save(tmp_path, cine(codes)), start=0.003, end=0.0071)
    assert part.info.frames == 5
    flat = np.rint(codes[3:8, ..., None] * (255 / 4095))
    assert (np.stack(list(part)) == flat).all()


def test_a_stated_depth_counts(tmp_path: Path) -> None:
    path = save(tmp_path, cine(ramp(12, 2, 3, 4), 16))
    info, stream = open_cine(path, ReadOptions(deep=True, bits=12))
    assert info.bits == 12
    assert int(next(stream(1, 2)).max()) == 65535
    with pytest.raises(UsageError, match="8 bits"):
        open_video(save(tmp_path, cine(ramp(8, 2, 3, 4), 8)), ReadOptions(bits=12))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compression": 1}, "compressed"),
        ({"compression": 7}, "compressed"),
        ({"compression": 2, "cfa": 3}, "Bayer"),
        ({"version": 0}, "version 0"),
        ({"packing": 4}, "packing 4"),
        ({"stored": 12}, "12 bits a pixel"),
        ({"length": 100}, "no setup"),
        ({"bits": 0, "stored": 16}, "0 bits are in use"),
        ({"stored": 8}, r"48 bytes, 6x4 pixels need 24"),
    ],
)
def test_what_is_not_read_is_refused(tmp_path: Path, options: dict[str, int], message: str) -> None:
    path = save(tmp_path, cine(ramp(0, 3, 4, 6), **options))  # type: ignore[arg-type]
    with pytest.raises(MagkitError, match=message) as caught:
        open_video(path)
    assert "shot.cine" in str(caught.value)


def test_grey_frames_of_a_camera_without_a_pattern_are_read(tmp_path: Path) -> None:
    codes = ramp(12, 2, 3, 4)
    path = save(tmp_path, cine(codes, compression=2))
    assert (codes_of(path, 12) == codes[..., None]).all()


def changed(data: bytes, form: str, place: int, value: int) -> bytes:
    altered = bytearray(data)
    struct.pack_into(form, altered, place, value)
    return bytes(altered)


TABLE = SETUP + LENGTH + 12


@pytest.mark.parametrize(
    ("form", "place", "value", "message"),
    [
        ("<I", 20, 0xFFFFFFFF, "no room for the offsets of 4294967295"),
        ("<I", 20, 0, "0 frames"),
        ("<i", 48, 0x7FFFFFFF, "pixels need"),
        ("<i", 48, -6, "-6x4"),
        ("<i", 52, 0, "6x0"),
        ("<I", 24, 0xFFFFFFF0, "in its headers"),
        ("<I", 28, 0xFFFFFFF0, "in its headers"),
        ("<I", 32, 0xFFFFFFF0, "no room"),
        ("<q", TABLE, 2**62, "frame 1 of 3 lies outside"),
        ("<q", TABLE, -1, "frame 1 of 3 lies outside"),
        ("<q", TABLE + 16, 2**40, "frame 3 of 3 lies outside"),
        ("<I", TABLE + 24, 3, "annotation of frame 1 of 3 has 3 bytes"),
        ("<I", TABLE + 24, 0xFFFFFFFF, "in frame 1 of 3"),
        ("<I", TABLE + 28, 0xFFFFFFFF, "4294967295 bytes, 6x4 pixels need 48"),
    ],
)
def test_a_corrupt_header_is_refused(
    tmp_path: Path, form: str, place: int, value: int, message: str
) -> None:
    path = save(tmp_path, changed(cine(ramp(12, 3, 4, 6)), form, place, value))
    with pytest.raises(MagkitError, match=message):
        open_video(path)


def test_a_corrupt_frame_is_named(tmp_path: Path) -> None:
    data = cine(ramp(12, 3, 4, 6))
    second = TABLE + 24 + 8 + 48
    path = save(tmp_path, changed(data, "<I", second + 5, 47))
    with pytest.raises(MagkitError, match="frame 2 has 47 bytes, the first 48"):
        list(open_video(path))


@given(st.data())
def test_any_truncation_is_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = cine(ramp(12, 3, 4, 6))
    path = tmp_path_factory.mktemp("cut") / "shot.cine"
    path.write_bytes(whole[: data.draw(st.integers(4, len(whole) - 1))])
    with pytest.raises(MagkitError, match=r"breaks off|no room|lies outside"):
        open_video(path)


def test_a_file_above_four_gigabytes_is_streamed(tmp_path: Path) -> None:
    codes, far = ramp(12, 3, 4, 6), 5_000_000_000
    data = cine(codes)
    path = save(tmp_path, changed(data, "<q", TABLE + 16, far))
    last = data[-(10 + 48) :]
    with path.open("r+b") as file:
        file.seek(far)
        file.write(last)
    tracemalloc.start()
    read = codes_of(path, 12)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (read == codes[..., None]).all()
    assert peak < 1_000_000
