"""Masks of every kind: which pixel belongs to which object, the same in every frame."""

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from magkit.errors import MagkitError
from magkit.invert.davis import list_videos, open_video_masks
from magkit.invert.masks import present_labels, read_labels

Pixels = NDArray[np.uint8]


def labels_in(path: Path) -> list[int]:
    return present_labels(read_labels(path))


def read_objects(path: Path) -> NDArray[np.bool_]:
    labels = read_labels(path)
    found: NDArray[np.bool_] = np.array(present_labels(labels), np.uint8)[:, None, None] == labels
    return found


def voc_colour(label: int) -> tuple[int, int, int]:
    """A colour of the VOC devkit's map: its bits are dealt to the channels from the highest on."""
    channels = [0, 0, 0]
    for place in range(24):
        channels[place % 3] |= (label >> place & 1) << (7 - place // 3)
    return channels[0], channels[1], channels[2]


PALETTE = [level for label in range(256) for level in voc_colour(label)]


def areas(values: Sequence[int]) -> Pixels:
    """Squares of 8x8 pixels side by side, a value each, on black."""
    pixels = np.zeros((24, 10 * len(values) + 4), np.uint8)
    for place, value in enumerate(values):
        pixels[8:16, 10 * place + 4 : 10 * place + 12] = value
    return pixels


def indexed(indices: Pixels, palette: list[int]) -> Image.Image:
    image = Image.new("P", indices.shape[::-1])
    image.putdata(indices.ravel().tolist())
    image.putpalette(palette)
    return image


def painted(indices: Pixels, colours: Sequence[tuple[int, int, int]]) -> Image.Image:
    """An RGB picture: colours[i] where the index is i + 1."""
    return Image.fromarray(np.array([(0, 0, 0), *colours], np.uint8)[indices])


def png(indices: Pixels, palette: bytes) -> bytes:
    """A PNG by hand, as Pillow cuts indices to the bits that a short palette needs."""
    height, width = indices.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    rows = zlib.compress(np.pad(indices, ((0, 0), (1, 0))).tobytes())
    content = b"\x89PNG\r\n\x1a\n"
    for name, data in {b"IHDR": header, b"PLTE": palette, b"IDAT": rows, b"IEND": b""}.items():
        check = zlib.crc32(name + data)
        content += struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)
    return content


def disc(radius: float = 20) -> Pixels:
    y, x = np.mgrid[:96, :128]
    return np.where((y - 48) ** 2 + (x - 64) ** 2 < radius**2, 255, 0).astype(np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mask.png"


MODES = ("1", "L", "P", "RGB", "RGBA")
STORED = [(suffix, mode) for suffix in ("png", "bmp", "tif", "webp") for mode in MODES]


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [*STORED, ("png", "LA"), ("tif", "LA"), ("png", "I;16"), ("tif", "I;16"), ("tif", "I")],
)
def test_a_binary_mask_has_one_object_however_it_is_stored(
    tmp_path: Path, suffix: str, mode: str
) -> None:
    mask = areas([255])
    path = tmp_path / f"mask.{suffix}"
    wide = Image.fromarray(mask.astype(np.uint16) * 257)
    image = wide if mode == "I;16" else Image.fromarray(mask).convert(mode)
    image.save(path, lossless=True)  # which WebP alone would not be
    assert np.array_equal(read_labels(path), mask // 255)
    assert np.array_equal(read_objects(path), mask[None] > 0)
    assert labels_in(path) == [1]
    assert read_labels(path).shape == mask.shape


@pytest.mark.parametrize("value", [1, 2, 38, 128, 254])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "I;16", "P"])
def test_one_other_value_keeps_its_number(path: Path, mode: str, value: int) -> None:
    mask = areas([value])
    if mode == "P":
        indexed(mask, PALETTE).save(path)
    elif mode == "I;16":
        Image.fromarray(mask.astype(np.uint16)).save(path)
    else:
        Image.fromarray(mask).convert(mode).save(path)
    assert labels_in(path) == [value]
    assert np.array_equal(read_labels(path), mask)


def test_palette_indices_are_labels_and_255_is_void(path: Path) -> None:
    mask = areas([3, 1, 255, 200])
    indexed(mask, PALETTE).save(path)
    assert labels_in(path) == [1, 3, 200]
    expected = np.stack([mask == 1, mask == 3, mask == 200])
    assert np.array_equal(read_objects(path), expected)
    indexed(areas([38, 255]), PALETTE).save(path)
    assert labels_in(path) == [38]
    indexed(areas([255]), PALETTE).save(path)
    assert labels_in(path) == [1]


@pytest.mark.parametrize("colours", [1, 2, 256])
def test_indices_are_labels_where_the_palette_tells_nothing(path: Path, colours: int) -> None:
    mask = areas([1, 2])
    path.write_bytes(png(mask, bytes(3 * colours)))
    with Image.open(path) as image:
        assert image.mode == "P"
    assert np.array_equal(read_labels(path), mask)


def test_a_palette_that_only_stores_greys_or_begins_elsewhere(path: Path) -> None:
    mask = areas([1])
    indexed(mask, [0, 0, 0, 255, 255, 255]).save(path)
    assert labels_in(path) == [1]
    indexed(1 - mask, [255, 255, 255, 0, 0, 0]).save(path)
    assert np.array_equal(read_labels(path), mask)
    indexed(np.zeros((9, 9), np.uint8), [255, 255, 255]).save(path)
    assert read_labels(path).all(), "all of it is white"
    indexed(2 - areas([2, 1]), [*voc_colour(5), *voc_colour(2), 0, 0, 0]).save(path)
    assert np.array_equal(read_labels(path), areas([5, 2]))


def test_soft_edges_in_a_palette_of_greys_are_no_objects(path: Path) -> None:
    soft = np.asarray(Image.fromarray(disc()).filter(ImageFilter.GaussianBlur(1)))
    levels, indices = np.unique(soft // 16 * 17, return_inverse=True)
    palette = np.repeat(levels, 3).tolist()
    indexed(indices.reshape(soft.shape).astype(np.uint8), palette).save(path)
    assert labels_in(path) == [1]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([38, 75, 113], [38, 75, 113]),
        ([127, 255], [1, 127]),
        ([50, 100, 150, 200, 255], [1, 50, 100, 150, 200]),
        ([1, 2, 255], [1, 2]),
        ([20, 255], [20]),
        ([21, 255], [1, 21]),
        (list(range(100, 164)), list(range(100, 164))),
    ],
)
def test_levels_of_grey_are_labels(path: Path, values: list[int], labels: list[int]) -> None:
    mask = areas(values)
    Image.fromarray(mask).save(path)
    assert labels_in(path) == labels
    for value in values:
        wanted = {255: 0 if labels[-1] < 21 else 1}.get(value, value)
        assert (read_labels(path)[mask == value] == wanted).all()


def test_a_label_is_the_same_whichever_other_objects_are_seen(path: Path) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (236, 95, 103)]
    indices = areas([1, 2, 3, 4, 5])
    painted(indices, colours).save(path)
    together = read_labels(path)
    assert labels_in(path) == sorted({1, 36, 73, 121, 146})
    for place in range(5):
        painted(indices * (indices == place + 1), colours).save(path)
        alone = read_labels(path)
        assert np.array_equal(alone, together * (indices == place + 1)), colours[place]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 254), min_size=1, max_size=12, unique=True), st.data())
def test_labels_survive_missing_neighbours(values: list[int], data: st.DataObject) -> None:
    kept = data.draw(st.sets(st.sampled_from(values)))
    mask = areas(values)
    rest = np.where(np.isin(mask, list(kept)), mask, 0).astype(np.uint8)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "mask.png"
        for image in (indexed(rest, PALETTE), Image.fromarray(rest)):
            image.save(path)
            assert labels_in(path) == sorted(kept)
            assert np.array_equal(read_labels(path), rest)


def test_colours_of_the_palette_have_its_numbers(path: Path) -> None:
    for start in range(1, 255, 60):
        values = list(range(start, min(start + 60, 255)))
        colours = [voc_colour(value) for value in values]
        painted(areas(list(range(1, len(values) + 1))), colours).save(path)
        assert labels_in(path) == values
    indices = areas([5, 9, 2])
    indexed(indices, PALETTE).convert("RGB").save(path)
    assert np.array_equal(read_labels(path), indices)


@pytest.mark.parametrize(
    "colours", [[(255, 0, 0), (250, 3, 0)], [(9, 1, 1)], [(128, 0, 0), (255, 255, 255)]]
)
def test_colours_too_alike_are_refused(path: Path, colours: list[tuple[int, int, int]]) -> None:
    painted(areas(list(range(1, len(colours) + 1))), colours).save(path)
    with pytest.raises(MagkitError, match=r"mask\.png: .*too alike") as refused:
        read_labels(path)
    assert "palette" in refused.value.hint


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "I;16"])
def test_a_photograph_is_refused(path: Path, mode: str) -> None:
    rng = np.random.default_rng(0)
    photograph = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
    if mode == "I;16":
        grey = rng.integers(0, 65536, (64, 64), np.uint16)
        grey[0, 0] = 65535
        Image.fromarray(grey).save(path)
    elif mode == "P":
        indexed(np.asarray(photograph.convert("L")), PALETTE).save(path)
    else:
        photograph.convert(mode).save(path)
    with pytest.raises(MagkitError, match=r"mask\.png: .*as a photograph has") as refused:
        read_objects(path)
    assert "64" in refused.value.hint


def test_64_objects_are_read_and_65_refused(path: Path) -> None:
    Image.fromarray(areas(range(1, 65))).save(path)
    assert len(read_objects(path)) == 64
    Image.fromarray(areas(range(1, 66))).save(path)
    with pytest.raises(MagkitError, match="65 levels"):
        read_objects(path)
    indexed(areas(range(1, 65)), PALETTE).convert("RGB").save(path)
    assert len(read_objects(path)) == 64
    indexed(areas(range(1, 66)), PALETTE).convert("RGB").save(path)
    with pytest.raises(MagkitError, match="too many colours"):
        read_objects(path)


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("L")


def _resized(image: Image.Image, width: int, how: Image.Resampling) -> Image.Image:
    return image.resize((width, width * 3 // 4), how)


SOFT: dict[str, Callable[[Image.Image], Image.Image]] = {
    "bilinear": lambda image: _resized(image, 192, Image.Resampling.BILINEAR),
    "bicubic": lambda image: _resized(image, 64, Image.Resampling.BICUBIC),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    "coded": lambda image: _jpeg(image, 95),
    "coded badly": lambda image: _jpeg(image, 60),
    "enlarged": lambda image: _resized(
        _resized(image, 64, Image.Resampling.BILINEAR), 128, Image.Resampling.NEAREST
    ),
}


@pytest.mark.parametrize("how", SOFT)
def test_soft_edges_are_cut_in_the_middle(path: Path, how: str) -> None:
    soft = SOFT[how](Image.fromarray(disc(30)))
    levels = np.asarray(soft)
    assert len(np.unique(levels)) > 3
    soft.save(path)
    assert labels_in(path) == [1]
    assert np.array_equal(read_objects(path)[0], levels > 127)
    Image.fromarray(levels.astype(np.uint16) * 257).save(path)
    assert np.array_equal(read_objects(path)[0], levels > 127)


def test_a_thin_object_of_one_level_is_no_soft_edge(path: Path) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[20, 3:30] = 130
    Image.fromarray(mask).save(path)
    assert labels_in(path) == [130]


def test_thin_objects_with_small_numbers_are_no_soft_edges(path: Path) -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[20, 3:30], mask[25, 3:30] = 1, 2
    Image.fromarray(mask).save(path)
    assert np.array_equal(read_labels(path), mask)


def test_alpha_is_ignored_unless_it_alone_is_the_mask(path: Path) -> None:
    mask, alpha = areas([2, 7]), np.full((24, 24), 9, np.uint8)
    Image.merge("LA", [Image.fromarray(mask), Image.fromarray(alpha)]).save(path)
    assert np.array_equal(read_labels(path), mask)
    white = Image.new("RGB", (128, 96), (255, 255, 255))
    white.putalpha(Image.fromarray(disc()))
    white.save(path)
    assert np.array_equal(read_labels(path), disc() // 255)
    white.putalpha(0)
    white.save(path)
    assert labels_in(path) == []


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_mask_without_objects(path: Path, mode: str) -> None:
    empty = np.zeros((5, 7), np.uint16 if mode == "I;16" else np.uint8)
    image = Image.fromarray(empty)
    (indexed(empty, PALETTE) if mode == "P" else image.convert(mode)).save(path)
    assert labels_in(path) == []
    assert read_objects(path).shape == (0, 5, 7)
    assert read_objects(path).dtype == bool
    assert (read_labels(path) == 0).all()


def test_the_background_has_the_void(path: Path) -> None:
    mask = areas([2, 1, 255])
    indexed(mask, PALETTE).save(path)
    assert np.array_equal(read_objects(path), [mask == 1, mask == 2])
    assert np.array_equal(read_labels(path) == 0, np.isin(mask, (0, 255)))


def test_16_bits(path: Path) -> None:
    numbers = areas([1, 2, 3]).astype(np.uint16)
    numbers[numbers == 3] = 65535
    Image.fromarray(numbers).save(path)
    assert labels_in(path) == [1, 2]
    shades = areas([1, 2]).astype(np.uint16) * 30_000
    shades[shades == 60_000] = 65535
    Image.fromarray(shades).save(path)
    assert labels_in(path) == [1, 117], "30000 is nearest to 117 * 257"
    Image.fromarray(areas([1, 2]).astype(np.uint16) * 13000).save(path)
    with pytest.raises(MagkitError, match="labels go up to 26000"):
        read_labels(path)
    tiff = path.with_suffix(".tif")
    Image.fromarray(areas([1, 2]).astype(np.int32)).save(tiff)
    assert labels_in(tiff) == [1, 2]
    for level in (-1, 1 << 20):
        Image.fromarray(areas([1]).astype(np.int32) * level).save(tiff)
        with pytest.raises(MagkitError, match="16 bits"):
            read_labels(tiff)


def test_every_real_mask_has_one_object(data_root: Path) -> None:
    root = data_root / "davis"
    for video in list_videos(root):
        for frame in open_video_masks(root, video).frames:
            objects = read_objects(frame.mask)
            assert objects.shape == (1, 480, 854), frame.mask
            assert 0 < objects.mean() < 0.5, frame.mask


def test_the_real_mask_with_alpha_is_like_its_neighbours(data_root: Path) -> None:
    folder = data_root / "davis" / "Annotations" / "480p" / "bear"
    with Image.open(folder / "00077.png") as image:
        assert image.mode == "LA"
        expected = np.asarray(image)[..., 0] > 0
    found = read_objects(folder / "00077.png")[0]
    assert np.array_equal(found, expected)
    neighbour = read_objects(folder / "00076.png")[0]
    assert (found & neighbour).sum() / (found | neighbour).sum() > 0.8


def test_soft_edges_of_real_masks_are_found(data_root: Path, path: Path) -> None:
    for video in ("bear", "bmx-trees"):
        frame = data_root / "davis" / "Annotations" / "480p" / video / "00003.png"
        with Image.open(frame) as image:
            for width in (1280, 427):
                smaller = image.resize((width, width * 9 // 16), Image.Resampling.BICUBIC)
                smaller.save(path)
                assert np.array_equal(read_objects(path), np.asarray(smaller)[None] > 127)
        photograph = data_root / "davis" / "JPEGImages" / "480p" / video / "00003.jpg"
        with Image.open(photograph) as image:
            for mode in ("L", "RGB"):
                image.convert(mode).save(path)
                with pytest.raises(MagkitError, match="photograph"):
                    read_labels(path)
