"""Frames of animations are composed of the pictures that a file stores, exactly."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from magkit.errors import MagkitError
from magkit.video import ReadOptions, open_video

WIDTH, HEIGHT = 12, 9
KEEP, CLEAR, RESTORE = range(3)


@dataclass
class Patch:
    """A picture (H, W, 4) RGBA at a place of the canvas, and what is done with it."""

    left: int
    top: int
    pixels: NDArray[Any]
    dispose: int = KEEP
    over: bool = False


def composed(patches: Sequence[Patch]) -> NDArray[np.float64]:
    """All frames (T, H, W, 3) over black: colours and alpha side by side, in doubles of 0 to 1."""
    colours, alpha = np.zeros((HEIGHT, WIDTH, 3)), np.zeros((HEIGHT, WIDTH, 1))
    frames = []
    for patch in patches:
        full = np.iinfo(patch.pixels.dtype).max
        new, new_alpha = patch.pixels[..., :3] / full, patch.pixels[..., 3:] / full
        height, width = new.shape[:2]
        place = np.s_[patch.top : patch.top + height, patch.left : patch.left + width]
        before = colours[place].copy(), alpha[place].copy()
        if patch.over:
            # Porter and Duff's "over" of colours that aren't premultiplied.
            both = new_alpha + before[1] * (1 - new_alpha)
            mixed = new * new_alpha + before[0] * before[1] * (1 - new_alpha)
            new, new_alpha = mixed / np.where(both > 0, both, 1), both
        colours[place], alpha[place] = new, new_alpha
        frames.append(colours * alpha)
        if patch.dispose == CLEAR:
            colours[place], alpha[place] = 0, 0
        elif patch.dispose == RESTORE:
            colours[place], alpha[place] = before
    return np.stack(frames)


def chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def apng(patches: Sequence[Patch], channels: int = 4, shared: bytes = b"") -> bytes:
    """An animated PNG of uncompressed rows, each picture's data in two chunks."""
    kind = {1: 0, 3: 2, 4: 6}[channels]
    depth = 8 * patches[0].pixels.itemsize
    header = struct.pack(">2I5B", WIDTH, HEIGHT, depth, kind, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), shared]
    parts.append(chunk(b"acTL", struct.pack(">2I", len(patches), 0)))
    number = 0
    for index, patch in enumerate(patches):
        height, width = patch.pixels.shape[:2]
        place = (width, height, patch.left, patch.top)
        told = struct.pack(">5I2H2B", number, *place, 1, 25, patch.dispose, patch.over)
        parts.append(chunk(b"fcTL", told))
        number += 1
        wide = patch.pixels[..., :channels].astype(patch.pixels.dtype.newbyteorder(">"))
        data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in wide))
        for piece in (data[:7], data[7:]):
            if index == 0:
                parts.append(chunk(b"IDAT", piece))
            else:
                parts.append(chunk(b"fdAT", struct.pack(">I", number) + piece))
                number += 1
    return b"".join([*parts, chunk(b"IEND", b"")])


def patches_of(seed: int, kind: type[np.unsignedinteger[Any]] = np.uint8) -> list[Patch]:
    """A whole first picture, then all disposals with both blendings, in any order, on parts."""
    rng = np.random.default_rng(seed)
    ways = rng.permutation([*product(range(3), (False, True))] * 2).tolist()
    ways.insert(0, [KEEP, False] if seed % 2 else ways[0])
    patches = []
    for number, (dispose, over) in enumerate(ways):
        left, top = (0, 0) if number == 0 else rng.integers(0, (WIDTH - 1, HEIGHT - 1)).tolist()
        width = WIDTH if number == 0 else int(rng.integers(1, WIDTH - left + 1))
        height = HEIGHT if number == 0 else int(rng.integers(1, HEIGHT - top + 1))
        full = np.iinfo(kind).max
        pixels = rng.integers(0, full, (height, width, 4), kind, endpoint=True)
        edges = rng.choice([0, 1, 2], (height, width))
        pixels[..., 3] = np.choose(edges, [np.zeros_like(edges), pixels[..., 3], full])
        patches.append(Patch(left, top, pixels, dispose, bool(over)))
    return patches


@pytest.mark.parametrize("seed", range(6))
def test_an_animated_png_is_composed_as_the_standard_says(tmp_path: Path, seed: int) -> None:
    patches = patches_of(seed)
    (tmp_path / "a.png").write_bytes(apng(patches))
    video = open_video(tmp_path / "a.png")
    assert (video.info.rate, video.info.bits) == (Fraction(25), 8)
    expected = 255 * composed(patches)
    assert np.abs(np.stack(list(video)) - expected).max() <= 0.5001
    part = np.stack(list(open_video(tmp_path / "a.png", start=0.16, end=0.24)))
    assert np.abs(part - expected[4:6]).max() <= 0.5001


@pytest.mark.parametrize("seed", range(2))
def test_16_bits_of_an_animated_png_are_kept(tmp_path: Path, seed: int) -> None:
    patches = patches_of(seed, np.uint16)
    (tmp_path / "a.png").write_bytes(apng(patches))
    video = open_video(tmp_path / "a.png", ReadOptions(deep=True))
    assert video.info.bits == 16
    assert np.abs(np.stack(list(video)) - 65535 * composed(patches)).max() <= 0.51
    shallow = np.stack(list(open_video(tmp_path / "a.png")))
    assert np.abs(shallow - 255 * composed(patches)).max() <= 0.51


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_one_colour_of_an_animated_png_may_be_transparent(
    tmp_path: Path, channels: int, kind: type[np.unsignedinteger[Any]]
) -> None:
    full = np.iinfo(kind).max
    back = np.full((HEIGHT, WIDTH, 4), full, kind)
    front = np.full((4, 5, 4), full // 3, kind)
    front[1, 2] = 40, 40, 40, 0
    front[..., 3] = np.where(front[..., 0] == 40, 0, full)
    patches = [Patch(0, 0, back), Patch(3, 2, front, over=True), Patch(6, 2, front)]
    key = chunk(b"tRNS", struct.pack(f">{channels}H", *[40] * channels))
    (tmp_path / "a.png").write_bytes(apng(patches, channels, key))
    frames = np.stack(list(open_video(tmp_path / "a.png", ReadOptions(deep=True))))
    assert np.abs(frames - full * composed(patches)).max() <= 0.5001


def test_the_depth_of_an_animated_png_is_what_it_says(tmp_path: Path) -> None:
    grey = np.full((HEIGHT, WIDTH, 4), 4095, np.uint16)
    patches = [Patch(0, 0, grey), Patch(0, 0, grey // 3)]
    (tmp_path / "a.png").write_bytes(apng(patches, 1, chunk(b"sBIT", bytes([12]))))
    video = open_video(tmp_path / "a.png", ReadOptions(deep=True))
    assert video.info.bits == 12
    assert [frame.max() for frame in video] == [65535, 21845]


@pytest.mark.parametrize("size", range(20, 1000, 97))
def test_a_cut_animated_png_is_refused_when_it_is_opened(tmp_path: Path, size: int) -> None:
    whole = apng(patches_of(1))
    (tmp_path / "a.png").write_bytes(whole[:size])
    with pytest.raises(MagkitError, match=r"a\.png"):
        open_video(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(whole[:-size])
    with pytest.raises(MagkitError, match=r"b\.png.* 13 frames"):
        open_video(tmp_path / "b.png")


@pytest.mark.parametrize("where", [0.2, 0.5, 0.9])
def test_a_damaged_animated_png_is_refused_when_it_is_opened(tmp_path: Path, where: float) -> None:
    content = bytearray(apng(patches_of(1)))
    content[int(where * len(content))] ^= 0x10
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(MagkitError, match=r"a\.png"):
        open_video(tmp_path / "a.png")


def test_a_picture_outside_the_canvas_is_refused(tmp_path: Path) -> None:
    pixels = np.full((HEIGHT, WIDTH, 4), 255, np.uint8)
    (tmp_path / "a.png").write_bytes(apng([Patch(0, 0, pixels), Patch(1, 0, pixels)]))
    with pytest.raises(MagkitError, match=r"a\.png"):
        open_video(tmp_path / "a.png")


COLOURS = np.random.default_rng(8).integers(0, 256, (128, 3), np.uint8)
HOLE = 5  # the transparent index


def gif(patches: Sequence[tuple[Patch, NDArray[np.uint8], int | None]], background: int) -> bytes:
    """A GIF of indices (H, W) into COLOURS, its codes cleared before they grow beyond 8 bits."""
    parts = [b"GIF89a", struct.pack("<2H3B", WIDTH, HEIGHT, 0x80 | 6, background, 0)]
    parts.append(COLOURS.tobytes())
    for patch, indices, method in patches:
        if method is not None:
            flags = method << 2 | (1 if patch.over else 0)
            parts.append(b"!\xf9\4" + struct.pack("<BHBB", flags, 4, HOLE, 0))
        height, width = indices.shape
        parts.append(b"," + struct.pack("<4HB", patch.left, patch.top, width, height, 0))
        codes: list[int] = []
        for number, index in enumerate(indices.ravel().tolist()):
            codes += [128, index] if number % 100 == 0 else [index]
        data = bytes([*codes, 129])
        blocks = (data[start : start + 255] for start in range(0, len(data), 255))
        parts += [b"\7", *(bytes([len(block)]) + block for block in blocks), b"\0"]
    return b"".join([*parts, b";"])


@pytest.mark.parametrize("seed", range(6))
def test_a_gif_is_composed_as_browsers_show_it(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    stored = []
    for number in range(14):
        left, top = rng.integers(0, (WIDTH - 1, HEIGHT - 1)).tolist()
        width, height = (rng.integers(1, (WIDTH - left + 1, HEIGHT - top + 1))).tolist()
        holes, method = bool(rng.integers(2)), int(rng.integers(5)) if number else seed % 5
        indices = rng.integers(0, 128, (height, width), np.uint8)
        indices[rng.random(indices.shape) < 0.3] = HOLE
        alpha = np.where((indices == HOLE) & holes, 0, 255)[..., None]
        pixels = np.concatenate((COLOURS[indices], alpha), 2).astype(np.uint8)
        dispose = [KEEP, KEEP, CLEAR, RESTORE, RESTORE][method]
        stored.append((Patch(left, top, pixels, dispose, holes), indices, method))
    # Where nothing is transparent, what a picture is drawn over doesn't matter.
    expected = 255 * composed([patch for patch, _, _ in stored])
    (tmp_path / "a.gif").write_bytes(gif(stored, background=9))
    video = open_video(tmp_path / "a.gif")
    assert video.info.rate == 25
    assert np.array_equal(np.stack(list(video)), expected.round())


def test_a_gif_without_control_blocks_keeps_its_pictures(tmp_path: Path) -> None:
    indices = np.arange(WIDTH * HEIGHT, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    whole = Patch(0, 0, COLOURS[indices])
    (tmp_path / "a.gif").write_bytes(
        gif([(whole, indices, 2), (whole, indices, None), (Patch(4, 4, indices), indices, None)], 0)
    )
    video = open_video(tmp_path / "a.gif")
    assert video.info.times == pytest.approx((0, 0.04, 0.14, 0.24))
    assert video.info.rate == Fraction(300, 24)
    expected = COLOURS[indices]
    _, second, third = video
    assert np.array_equal(second, expected)
    # What lies beyond the canvas is cut off.
    expected[4:, 4:] = COLOURS[indices[:-4, :-4]]
    assert np.array_equal(third, expected)


def test_half_transparent_frames_of_a_webp_come_as_they_are(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (HEIGHT, WIDTH, 4), np.uint8) for _ in range(4)]
    first, *others = map(Image.fromarray, frames)
    first.save(
        tmp_path / "a.webp",
        save_all=True,
        append_images=others,
        duration=40,
        lossless=True,
        exact=True,
    )
    expected = 255 * composed([Patch(0, 0, frame) for frame in frames])
    assert np.abs(np.stack(list(open_video(tmp_path / "a.webp"))) - expected).max() <= 0.5001
