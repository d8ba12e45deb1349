"""Pictures of a data set that are not what magkit writes: one sentence, never other numbers."""

import io
import random
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from magkit.data.encode import decode_frame, decode_motion, encode_frame, encode_motion
from magkit.data.open import open_dataset
from magkit.errors import MagkitError

Made = Callable[..., Path]
SHAPE = (6, 5)
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6  # colour types, PNG 11.2.1
SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}


def chunk(name: bytes, content: bytes) -> bytes:
    checked = name + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def png(height: int, width: int, depth: int, colour: int, *, transparent: bool = False) -> bytes:
    """A PNG of a depth and colour type, written by hand."""
    row = b"\0" + b"\x01" * -(-width * depth * SAMPLES[colour] // 8)
    palette = chunk(b"PLTE", bytes(range(6))) if colour == PALETTE else b""
    see_through = chunk(b"tRNS", b"\0\0" if colour == PALETTE else b"\0" * 2 * SAMPLES[colour])
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
        + palette
        + (see_through if transparent else b"")
        + chunk(b"IDAT", zlib.compress(row * height))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("depth", "colour"),
    [(8, GREY), (1, GREY), (8, RGB), (16, RGB), (8, PALETTE), (8, GREY_ALPHA), (16, RGB_ALPHA)],
)
def test_a_map_of_motion_is_grey_of_16_bits(depth: int, colour: int) -> None:
    height, width = SHAPE
    with pytest.raises(MagkitError, match=f"{depth}-bit"):
        decode_motion(png(3 * height, width, depth, colour), 0.1, SHAPE)
    motion, moving = decode_motion(png(3 * height, width, 16, GREY), 0.5, SHAPE)
    assert (motion == (0x0101 - 32768) * 0.5).all()
    assert moving.shape == (1, *SHAPE)


@pytest.mark.parametrize(
    ("depth", "colour", "transparent"),
    [
        (16, GREY, False),
        (16, RGB, False),
        (8, GREY_ALPHA, False),
        (8, RGB_ALPHA, False),
        (16, RGB_ALPHA, False),
        (8, RGB, True),
        (8, PALETTE, True),
    ],
)
def test_a_frame_is_neither_deep_nor_transparent(
    depth: int, colour: int, transparent: bool
) -> None:
    with pytest.raises(MagkitError, match=f"{depth}-bit.* in place of 8-bit RGB"):
        decode_frame(png(*SHAPE, depth, colour, transparent=transparent), SHAPE)


@pytest.mark.parametrize(("depth", "colour"), [(1, GREY), (8, GREY), (4, PALETTE), (8, RGB)])
def test_what_holds_8_bits_is_taken(depth: int, colour: int) -> None:
    assert decode_frame(png(*SHAPE, depth, colour), SHAPE).shape == (3, *SHAPE)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_a_data_set_with_another_motion_png_is_told_by_its_scene(
    made: Made, tmp_path: Path, mode: str
) -> None:
    folder = shutil.copytree(made("folder"), tmp_path / "x")
    path = folder / "scenes" / "000002" / "motion.png"
    with Image.open(path) as image:
        size = image.size
    Image.new(mode, size).save(path)
    with pytest.raises(MagkitError, match=r"scene 2 of .* in place of 16-bit grey"):
        open_dataset(str(folder)).triplets([2])


@pytest.mark.parametrize("layout", ["folder", "published"])
@pytest.mark.parametrize("mode", ["LA", "RGBA", "I;16"])
def test_a_data_set_with_another_frame_is_told_by_its_scene(
    made: Made, tmp_path: Path, layout: str, mode: str
) -> None:
    folder = shutil.copytree(made(layout), tmp_path / "x")
    name = "scenes/000001/m.png" if layout == "folder" else "amplified/000001.png"
    Image.new(mode, (32, 32)).save(folder / name)
    with pytest.raises(MagkitError, match=r"scene 1 of .* in place of 8-bit RGB"):
        open_dataset(str(folder)).triplets([1])


def test_a_published_picture_larger_than_any_scene_is_refused(tmp_path: Path) -> None:
    for part in ("frameA", "frameB", "frameC", "amplified"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "000000.png").write_bytes(png(1, 9000, 8, GREY))
    (tmp_path / "train_mf.txt").write_text("1")
    with pytest.raises(MagkitError, match="9000x1 is too large"):
        open_dataset(str(tmp_path))


def whole(content: bytes) -> bytes:
    """The same with the checksums that its chunks should have."""
    found, place = bytearray(content), 8
    while place + 12 <= len(found):
        end = place + 8 + int.from_bytes(found[place : place + 4], "big")
        if end + 4 > len(found):
            break
        found[end : end + 4] = struct.pack(">I", zlib.crc32(found[place + 4 : end]))
        place = end + 4
    return bytes(found)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_no_damage_ends_in_another_exception() -> None:
    draws, levels = random.Random(0), torch.Generator().manual_seed(0)
    frame = encode_frame(torch.rand(3, *SHAPE, generator=levels))
    motion, unit = encode_motion(torch.randn(2, *SHAPE, generator=levels), torch.ones(1, *SHAPE))
    file = io.BytesIO()
    palette = Image.fromarray(np.arange(30, dtype=np.uint8).reshape(SHAPE)).convert("P")
    palette.save(file, "PNG", dpi=(30, 30), icc_profile=b"x" * 50, exif=b"Exif\0\0MM")
    refused = 0
    for _ in range(3000):
        damaged = bytearray(draws.choice([frame, motion, file.getvalue()]))
        for _ in range(draws.choice([1, 2, 5])):
            damaged[draws.randrange(8, len(damaged))] = draws.randrange(256)
        try:
            decode_frame(whole(bytes(damaged)), SHAPE)
            decode_motion(whole(bytes(damaged)), unit, SHAPE)
        except MagkitError:
            refused += 1
    assert refused > 2000
