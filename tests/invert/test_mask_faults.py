"""Files that are no masks: refused by name, whatever is wrong with them."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from magkit.errors import MagkitError
from magkit.invert.davis import ClipFrame
from magkit.invert.masks import read_frame_masks, read_labels

MASK = np.zeros((24, 32), np.uint8)
MASK[8:16, 8:20] = 255


def read_masks(path: Path) -> Any:
    return read_frame_masks(ClipFrame(0, path.stem, path, None))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mask.png"


@pytest.mark.parametrize("mode", ["F", "CMYK"])
def test_other_kinds_of_pixels_are_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "mask.tif"
    image = Image.fromarray(MASK)
    (image.convert("RGB") if mode == "CMYK" else image).convert(mode).save(path)
    with pytest.raises(MagkitError, match=rf"mask\.tif: .*of the kind {mode}"):
        read_labels(path)


@pytest.mark.parametrize("kind", ["JPEG", "GIF"])
def test_lossy_files_are_refused_whatever_their_name(path: Path, kind: str) -> None:
    Image.fromarray(MASK).save(path, kind)
    for read in (read_labels, read_masks):
        with pytest.raises(MagkitError, match=rf"mask\.png is a {kind}") as refused:
            read(path)
        assert "PNG" in refused.value.hint


@pytest.mark.parametrize("suffix", ["tif", "png", "webp"])
def test_several_pictures_in_one_file_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mask.{suffix}"
    first, second = Image.fromarray(MASK), Image.fromarray(255 - MASK)
    first.save(path, save_all=True, append_images=[second])
    with pytest.raises(MagkitError, match=rf"mask\.{suffix}: it holds several pictures"):
        read_labels(path)


def test_a_turned_tiff_has_one_size(tmp_path: Path) -> None:
    path = tmp_path / "mask.tif"
    image = Image.fromarray(MASK)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(path, exif=exif)
    assert read_masks(path)[0] == read_labels(path).shape


def test_a_mask_that_is_cut_is_refused(path: Path) -> None:
    Image.fromarray(np.zeros((400, 300), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(MagkitError, match=r"mask\.png"):
        read_labels(path)


@pytest.mark.parametrize("content", [None, b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_refused_by_name(path: Path, content: bytes | None) -> None:
    if content is not None:
        path.write_bytes(content)
    for read in (read_labels, read_masks):
        with pytest.raises(MagkitError, match=r"mask\.png"):
            read(path)
    with pytest.raises(MagkitError, match="can't be read"):
        read_labels(path.parent)


def _promise(path: Path, width: int, height: int) -> None:
    """Write a small PNG whose header tells of a size that isn't there."""
    Image.fromarray(MASK).save(path)
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)


@pytest.mark.parametrize("size", [(8001, 8000), (100_000, 100_000), (2**31 - 1, 2**31 - 1)])
def test_what_would_fill_the_memory_is_refused(path: Path, size: tuple[int, int]) -> None:
    _promise(path, *size)
    for read in (read_labels, read_masks):
        with pytest.raises(MagkitError, match=r"mask\.png"):
            read(path)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_a_damaged_file_is_read_or_refused_by_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mask.{suffix}"
    Image.fromarray(MASK).quantize(2).save(path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    messages = []
    for turn in range(120):
        data = bytearray(whole)
        if turn % 2:
            data = data[: rng.integers(len(data))]
        else:
            for place in rng.integers(0, len(data), 3):
                data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            read_masks(path)
        except MagkitError as error:
            messages.append(error.message)
    assert len(messages) > 20
    assert all(f"mask.{suffix}" in message for message in messages)
