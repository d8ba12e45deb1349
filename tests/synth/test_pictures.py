"""Pictures of every kind and from every place, broken ones among them."""

import io
import pickle
import random
import threading
import zipfile
from contextlib import suppress
from pathlib import Path

import fsspec
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from magkit.errors import MagkitError
from magkit.synth import pictures as module
from magkit.synth.pictures import FilePictures, decode_rgb, read_rgb
from magkit.synth.sources import TensorCache
from magkit.synth.storage import UnreachableError, read_bytes

SHAPE = (80, 96)  # height, width
Picture = npt.NDArray[np.uint8]


def colours(seed: int = 0) -> Picture:
    levels = np.random.default_rng(seed).integers(0, 256, (*SHAPE, 3))
    return levels.astype(np.uint8)


def saved(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colours(seed)).save(path)
    return path


def cut_off(path: Path) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def test_rgb(tmp_path: Path) -> None:
    made = read_rgb(saved(tmp_path / "x.png"))
    assert made.dtype == torch.uint8
    np.testing.assert_array_equal(made.permute(1, 2, 0), colours())


def test_greyscale_and_16_bit(tmp_path: Path) -> None:
    grey = colours()[..., 0]
    Image.fromarray(grey).save(tmp_path / "8.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "16.png")
    for name in ("8.png", "16.png"):
        np.testing.assert_array_equal(read_rgb(tmp_path / name), np.stack([grey] * 3))


def test_palette(tmp_path: Path) -> None:
    image = Image.fromarray(colours()).quantize(64)
    image.save(tmp_path / "x.png")
    exact = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_array_equal(read_rgb(tmp_path / "x.png"), exact)


def test_cmyk(tmp_path: Path) -> None:
    Image.new("CMYK", (90, 70), (255, 0, 0, 0)).save(tmp_path / "x.jpg", quality=95)
    made = read_rgb(tmp_path / "x.jpg").float().mean((1, 2))
    torch.testing.assert_close(made, torch.tensor([0.0, 255, 255]), atol=4, rtol=0)


def test_turned_by_exif(tmp_path: Path) -> None:
    image = Image.new("RGB", (120, 70), "blue")
    image.paste("red", (0, 0, 40, 70))
    tag = Image.Exif()
    tag[0x0112] = 6
    image.save(tmp_path / "x.jpg", exif=tag, quality=95)
    made = read_rgb(tmp_path / "x.jpg")
    assert made.shape == (3, 120, 70)
    assert made[0, :30].min() > 200  # its left side is up
    assert made[2, -30:].min() > 200


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_a_file_that_is_no_picture(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(MagkitError, match=r"x\.png is not a picture that can be read"):
        read_rgb(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp"])
def test_a_picture_cut_off(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(MagkitError, match="not a picture that can be read"):
        read_rgb(cut_off(saved(tmp_path / f"x.{suffix}")))


def test_floating_point_numbers_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones(SHAPE, np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(MagkitError, match=r"x\.tif: .*floating-point"):
        read_rgb(tmp_path / "x.tif")


def test_a_folder_is_searched_through(tmp_path: Path) -> None:
    saved(tmp_path / "b" / "2.png", 2)
    saved(tmp_path / "a.JPG")
    saved(tmp_path / "b" / "1.png", 1)
    Image.new("RGB", (63, 200)).save(tmp_path / "narrow.png")
    (tmp_path / "note.txt").write_text("no picture")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    pictures = FilePictures(tmp_path)
    names = [pictures.name(index) for index in range(len(pictures))]
    assert names == ["a.JPG", "b/1.png", "b/2.png"]
    np.testing.assert_array_equal(pictures.picture(2).permute(1, 2, 0), colours(2))


def test_broken_pictures_are_replaced_by_the_next(tmp_path: Path) -> None:
    for number in range(5):
        saved(tmp_path / f"{number}.png", number)
    bad = {cut_off(tmp_path / f"{number}.png") for number in (1, 2, 4)}
    pictures = FilePictures(tmp_path)
    assert len(pictures) == 5
    names = [pictures.name(index) for index in range(5)]
    assert names == ["0.png", "3.png", "3.png", "3.png", "0.png"]
    assert pictures.unreadable == {str(path) for path in bad}
    # Whatever was read before, and however little is remembered:
    assert FilePictures(tmp_path, TensorCache(1)).name(2) == "3.png"
    assert torch.equal(FilePictures(tmp_path).picture(4), pictures.picture(0))


def test_a_folder_with_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(MagkitError, match="no folder"):
        FilePictures(tmp_path / "absent")
    with pytest.raises(MagkitError, match="no usable picture"):
        FilePictures(tmp_path)
    cut_off(saved(tmp_path / "x.png"))
    with pytest.raises(MagkitError, match="no picture that can be read"):
        FilePictures(tmp_path).picture(0)


def test_a_grey_picture_among_real_ones(data_root: Path) -> None:
    folder = data_root / "coco" / "train2017"
    grey = [p for p in sorted(folder.glob("*.jpg")) if _mode(p) == "L"]
    assert grey
    made = read_rgb(grey[0])
    assert torch.equal(made[0], made[2])


def _mode(path: Path) -> str:
    with Image.open(path) as image:
        return image.mode


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "YCbCr"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    made = Image.new(mode, SHAPE[::-1], 1 if mode == "1" else None)
    made.save(tmp_path / "x.tif")
    assert read_rgb(tmp_path / "x.tif").shape == (3, *SHAPE)


def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    Image.new("1", (9000, 9000)).save(tmp_path / "x.png")
    assert (tmp_path / "x.png").stat().st_size < 100_000
    with pytest.raises(MagkitError, match="9000 x 9000"):
        read_rgb(tmp_path / "x.png")


def test_formats_that_start_other_programs_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (90, 90)).save(tmp_path / "x.eps")
    (tmp_path / "x.eps").rename(tmp_path / "x.png")
    with pytest.raises(MagkitError, match="not a picture"):
        read_rgb(tmp_path / "x.png")
    with pytest.raises(MagkitError, match="no usable picture"):
        FilePictures(tmp_path)


def encoded(form: str) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.fromarray(colours()).save(buffer, form, exif=exif)
    return buffer.getvalue()


SAMPLES = {form: encoded(form) for form in ("JPEG", "PNG", "TIFF", "WEBP")}


@given(st.sampled_from(sorted(SAMPLES)), st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_damage_of_any_kind_is_a_sentence(form: str, seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(SAMPLES[form])
    for _ in range(rng.randrange(1, 20)):
        # Headers and tables stand at the ends.
        near = rng.choice([64, 1024, len(data)])
        data[rng.choice([1, -1]) * rng.randrange(1, near)] = rng.randrange(256)
    with suppress(MagkitError):  # anything else would be a crash at picture 180,000
        assert decode_rgb(bytes(data[: rng.choice([None, -30])]), "x").dtype == torch.uint8


def bucket(folder: Path, at: str) -> None:
    """Copies a folder's files to a file system of fsspec."""
    for path in folder.rglob("*.*"):
        fsspec.filesystem("memory").pipe(
            f"{at}/{path.relative_to(folder).as_posix()}", path.read_bytes()
        )


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A folder of six pictures, none of them broken."""
    for number, name in enumerate(["a.png", "b/1.jpg", "b/2.png", "b-c.png", "c.webp", "d.png"]):
        saved(tmp_path / "in" / name, number)
    return tmp_path / "in"


def test_places_of_every_kind_hold_the_same(sound: Path, tmp_path: Path) -> None:
    bucket(sound, "/bucket/some")
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for path in sorted(sound.rglob("*.*"), reverse=True):
            archive.write(path, path.relative_to(sound))
    fsspec.filesystem("memory").pipe("/zips/in.zip", (tmp_path / "in.zip").read_bytes())
    exact = FilePictures(sound)
    names = [exact.name(index) for index in range(6)]
    assert names == sorted(names, key=lambda name: Path(name).parts)
    listed = tmp_path / "list.txt"
    listed.write_text("# mine\n\n" + "\n".join(f"in/{name}" for name in names))
    places = ["memory://bucket/some", "memory://bucket/some/", f"file://{sound.as_posix()}"]
    places += [str(tmp_path / "in.zip"), "memory://zips/in.zip", f"{sound}/**/*.*"]
    places += ["memory://bucket/some/**/*.*", str(listed)]
    for place in places:
        made = FilePictures(place)
        if "*" not in place and place != str(listed):
            assert [made.name(index) for index in range(6)] == names, place
        assert len(made) == 6, place
        made.prepare(range(6))
        for index in range(6):
            assert torch.equal(made.picture(index), exact.picture(index)), place
        assert not made.unreadable


def test_what_is_broken_elsewhere_is_replaced_when_it_is_met(sound: Path) -> None:
    cut_off(sound / "b" / "2.png")
    Image.new("RGB", (40, 200)).save(sound / "d.png")
    (sound / "c.webp").write_bytes(b"")
    bucket(sound, "/broken")
    pictures = FilePictures("memory://broken")
    assert len(pictures) == 6
    assert not pictures.unreadable
    names = [pictures.name(index) for index in range(6)]
    assert names == ["a.png", "b/1.jpg", "b-c.png", "b-c.png", "a.png", "a.png"]
    assert pictures.unreadable == {f"memory://broken/{n}" for n in ("b/2.png", "d.png", "c.webp")}
    assert FilePictures("memory://broken").name(4) == "a.png"


def test_files_announced_are_read_once_and_at_once(
    sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket(sound, "/ahead")
    asked: list[str] = []
    everyone = threading.Barrier(6, timeout=20)  # passes only if six are read at the same time

    def read(place: str, limit: int = 0) -> bytes:
        asked.append(place)
        everyone.wait()
        return read_bytes(place)

    monkeypatch.setattr(module, "read_bytes", read)
    pictures = FilePictures("memory://ahead")
    pictures.prepare(range(6))
    assert len({pictures.picture(index).sum().item() for index in range(6)}) == 6
    pictures.prepare(range(6))
    assert len(asked) == 6


def test_large_files_are_not_read_ahead(monkeypatch: pytest.MonkeyPatch, sound: Path) -> None:
    bucket(sound, "/large")
    monkeypatch.setattr(module, "PREFETCH_BYTES", 100)
    pictures = FilePictures("memory://large")
    pictures.prepare(range(6))
    assert pictures.picture(0).shape == (3, *SHAPE)
    assert not pictures.unreadable


def test_a_bucket_that_is_away_is_an_error(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file that can't be reached is replaced; eight in a row are not the files' fault."""
    for number in range(12):
        saved(sound / f"{number}.png", number)
    bucket(sound, "/away")
    away: list[str] = ["memory://away/0.png"]

    def read(place: str, limit: int = 0) -> bytes:
        if place in away:
            raise UnreachableError(f"{place} can't be reached")
        return read_bytes(place)

    monkeypatch.setattr(module, "read_bytes", read)
    pictures = FilePictures("memory://away")
    assert pictures.name(0) == "1.png"
    assert pictures.unreadable == set(away)
    away += [pictures.listing.place(number) for number in range(1, 9)]
    with pytest.raises(MagkitError, match="can't be reached"):
        FilePictures("memory://away").picture(0)


def test_pickled_a_source_is_whole(sound: Path) -> None:
    bucket(sound, "/pickled")
    pictures = FilePictures("memory://pickled")
    pictures.prepare(range(6))
    pictures.picture(2)
    again = pickle.loads(pickle.dumps(pictures))
    again.prepare([3])
    assert torch.equal(again.picture(3), pictures.picture(3))
