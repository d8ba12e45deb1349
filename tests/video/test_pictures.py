"""Pictures of every kind give the values that were stored, upright and on black."""

import io
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from magkit.errors import MagkitError
from magkit.video.depth import Depth, encode_png16
from magkit.video.pictures import decode_picture, open_picture, read_picture

rng = np.random.default_rng(0)

Ffmpeg = Callable[..., str]


def by_ffmpeg(ffmpeg: Ffmpeg, path: Path, values: NDArray[np.uint16], pixels: str) -> Path:
    """A picture of 16-bit values, (H, W) or (H, W, C), that ffmpeg writes."""
    raw = path.with_suffix(".raw")
    raw.write_bytes(values.astype("<u2").tobytes())
    size = f"{values.shape[1]}x{values.shape[0]}"
    ffmpeg("-f", "rawvideo", "-pix_fmt", f"{pixels}le", "-s", size, "-i", raw, path)
    return path


def deep(path: Path) -> NDArray[Any]:
    return read_picture(path, Depth(16), deep=True)


def noise(*shape: int) -> NDArray[np.uint16]:
    return rng.integers(0, 65536, shape, np.uint16)


def rounded(values: NDArray[np.uint16]) -> NDArray[Any]:
    return np.floor(values / 257 + 0.5)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_colours_are_read_to_the_bit(tmp_path: Path, ffmpeg: Ffmpeg, name: str) -> None:
    values = noise(9, 14, 3)
    path = by_ffmpeg(ffmpeg, tmp_path / name, values, "rgb48")
    assert np.array_equal(deep(path), values)
    assert np.array_equal(read_picture(path), rounded(values))
    with open_picture(path) as picture:
        header = picture.header()
        assert (header.size, header.values) == ((14, 9), "colour16")
        # Pages may be read again.
        for _ in range(2):
            assert np.array_equal(picture.read(header), values)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_greys_are_read_to_the_bit(tmp_path: Path, ffmpeg: Ffmpeg, name: str) -> None:
    values = noise(9, 14)
    path = by_ffmpeg(ffmpeg, tmp_path / name, values, "gray16")
    assert np.array_equal(deep(path), np.stack([values] * 3, -1))
    assert np.array_equal(read_picture(path)[..., 1], rounded(values))


def on_black(values: NDArray[np.uint16]) -> NDArray[Any]:
    colours, alpha = values[..., :-1].astype(float), values[..., -1:].astype(float)
    expected: NDArray[Any] = np.floor(colours * alpha / 65535 + 0.5)
    return expected


def test_16_bit_alpha_lies_on_black(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    values = noise(9, 14, 4)
    path = by_ffmpeg(ffmpeg, tmp_path / "a.png", values, "rgba64")
    assert np.array_equal(deep(path), on_black(values))
    greys = noise(9, 14, 2)
    path = by_ffmpeg(ffmpeg, tmp_path / "g.png", greys, "ya16")
    assert np.array_equal(deep(path), np.repeat(on_black(greys), 3, 2))


def test_a_16_bit_value_may_stand_for_transparent(tmp_path: Path) -> None:
    colours = np.array([[[1, 2, 3], [1, 2, 4], [258, 2, 3]]], np.uint16)
    content = encode_png16(colours, 1)
    chunk = b"tRNS" + struct.pack(">HHH", 1, 2, 3)
    extra = struct.pack(">I", 6) + chunk + struct.pack(">I", zlib.crc32(chunk))
    at = content.index(b"IDAT") - 4
    (tmp_path / "a.png").write_bytes(content[:at] + extra + content[at:])
    assert deep(tmp_path / "a.png").tolist() == [[[0, 0, 0], [1, 2, 4], [258, 2, 3]]]
    grey = Image.fromarray(np.array([[7, 8]], np.uint16))
    grey.save(tmp_path / "g.png", transparency=7)
    assert deep(tmp_path / "g.png")[0, :, 0].tolist() == [0, 8]


def test_16_bit_frames_are_written_to_the_bit(tmp_path: Path, ffmpeg: Ffmpeg) -> None:
    values = noise(9, 14, 3)
    (tmp_path / "a.png").write_bytes(encode_png16(values, 2))
    raw = tmp_path / "a.raw"
    ffmpeg("-i", tmp_path / "a.png", "-f", "rawvideo", "-pix_fmt", "rgb48le", raw)
    assert np.array_equal(np.fromfile(raw, "<u2").reshape(values.shape), values)


def tiff(entries: dict[int, tuple[int, ...]], pixels: bytes) -> bytes:
    """A small-endian TIFF of one strip, all of whose tags are numbers."""
    tags = {259: (1,), 273: (8,), 277: (len(entries[258]),), 279: (len(pixels),), **entries}
    directory_at = 8 + len(pixels) + len(pixels) % 2
    extra_at = directory_at + 2 + 12 * len(tags) + 4
    entries_packed, extra = b"", b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}I", *values)
        if len(values) > 1:
            packed, extra = struct.pack("<I", extra_at + len(extra)), extra + packed
        entries_packed += struct.pack("<HHI", tag, 4, len(values)) + packed
    head = b"II*\0" + struct.pack("<I", directory_at) + pixels + b"\0" * (len(pixels) % 2)
    return head + struct.pack("<H", len(tags)) + entries_packed + b"\0" * 4 + extra


def tags(width: int, height: int, bits: int, samples: int, photometric: int) -> dict[int, Any]:
    return {256: (width,), 257: (height,), 258: (bits,) * samples, 262: (photometric,)}


@pytest.mark.parametrize("bits", [8, 16])
def test_premultiplied_colours_are_taken_as_they_are(tmp_path: Path, bits: int) -> None:
    pixels = rng.integers(0, 2**bits, (5, 7, 4), f"uint{bits}")
    entries = tags(7, 5, bits, 4, 2) | {338: (1,)}  # associated alpha
    (tmp_path / "a.tif").write_bytes(tiff(entries, pixels.tobytes()))
    expected = pixels[..., :3] if bits == 16 else pixels[..., :3].astype(np.uint16) * 257
    assert np.array_equal(deep(tmp_path / "a.tif"), expected)


def test_premultiplied_greys_are_taken_as_they_are(tmp_path: Path) -> None:
    pixels = rng.integers(0, 256, (5, 7, 2), np.uint8)
    (tmp_path / "a.tif").write_bytes(tiff(tags(7, 5, 8, 2, 1) | {338: (1,)}, pixels.tobytes()))
    assert np.array_equal(read_picture(tmp_path / "a.tif"), np.repeat(pixels[..., :1], 3, 2))


def test_zero_may_be_white(tmp_path: Path) -> None:
    values = noise(5, 7)
    (tmp_path / "a.tif").write_bytes(tiff(tags(7, 5, 16, 1, 0), values.tobytes()))
    assert np.array_equal(deep(tmp_path / "a.tif")[..., 0], 65535 - values)


def test_16_bit_colours_in_planes_are_refused(tmp_path: Path) -> None:
    planes = noise(3, 5, 7)
    entries = tags(7, 5, 16, 3, 2) | {273: (8, 78, 148), 279: (70, 70, 70), 284: (2,)}
    (tmp_path / "a.tif").write_bytes(tiff(entries, planes.tobytes()))
    with pytest.raises(MagkitError, match=r"a\.tif .*planes"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("low", [-1, 70000])
def test_numbers_outside_16_bits_are_refused(tmp_path: Path, low: int) -> None:
    Image.fromarray(np.array([[low, 5]], np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(MagkitError, match=r"a\.tif .*65,535"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_pictures_come_upright(mode: str, orientation: int, kind: str) -> None:
    # Four flat corners of different brightness, which JPEG keeps.
    corners = np.kron(np.array([[30, 90], [150, 210]], np.uint8), np.ones((16, 24), np.uint8))
    image = Image.fromarray(corners).convert("RGB").convert(mode)
    exif = image.getexif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    shown = decode_picture(file.getvalue())
    # EXIF 2.32: where the stored row 0 and column 0 are in the picture as seen.
    expected = {
        1: [[30, 90], [150, 210]],
        2: [[90, 30], [210, 150]],
        3: [[210, 150], [90, 30]],
        4: [[150, 210], [30, 90]],
        5: [[30, 150], [90, 210]],
        6: [[150, 30], [210, 90]],
        7: [[210, 90], [150, 30]],
        8: [[90, 210], [30, 150]],
    }[orientation]
    height, width, _ = shown.shape
    assert (width > height) == (orientation < 5)
    seen = shown[height // 4 :: height // 2, width // 4 :: width // 2, 0]
    assert np.abs(seen.astype(int) - np.array(expected)).max() <= 2


def test_palettes_with_alpha_lie_on_black(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([10, 20, 30, 200, 100, 50, 200, 100, 50])
    image.save(tmp_path / "a.png", transparency=bytes([255, 0, 128]))
    assert read_picture(tmp_path / "a.png").tolist() == [[[10, 20, 30], [0, 0, 0], [100, 50, 25]]]


def test_a_photograph_with_further_pictures_is_its_first(tmp_path: Path) -> None:
    large, small = Image.new("RGB", (32, 16), (90,) * 3), Image.new("RGB", (8, 4), (200,) * 3)
    large.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[small])
    frame = read_picture(tmp_path / "a.jpg")
    assert frame.shape == (16, 32, 3)
    assert np.abs(frame.astype(int) - 90).max() <= 1


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow tells of odd tags
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp", "a.bmp"])
def test_any_damage_is_one_sentence(tmp_path: Path, name: str) -> None:
    Image.fromarray(noise(40, 40, 3).astype(np.uint8)).save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for cut in (1, 5, 12, 30, 60, 200, len(whole) // 2):
        (tmp_path / name).write_bytes(whole[:cut])
        with pytest.raises(MagkitError, match=name):
            read_picture(tmp_path / name)
    for at in range(8, 120, 3):
        (tmp_path / name).write_bytes(whole[:at] + b"\xff\xff\xff\x7f" + whole[at + 4 :])
        with suppress(MagkitError):
            read_picture(tmp_path / name)
