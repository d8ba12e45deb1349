"""Pictures of every kind, broken ones among them, and the objects of COCO files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask

from magkit.errors import MagkitError
from magkit.synth.cache import TensorCache
from magkit.synth.files import CocoCutouts, FolderPictures, read_rgb
from magkit.synth.render import Sources, render
from magkit.synth.scene import SceneConfig, draw_scene

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
    pictures = FolderPictures(tmp_path)
    names = [pictures.name(index) for index in range(len(pictures))]
    assert names == ["a.JPG", "b/1.png", "b/2.png"]
    np.testing.assert_array_equal(pictures.picture(2).permute(1, 2, 0), colours(2))


def test_broken_pictures_are_replaced_by_the_next(tmp_path: Path) -> None:
    for number in range(5):
        saved(tmp_path / f"{number}.png", number)
    bad = {cut_off(tmp_path / f"{number}.png") for number in (1, 2, 4)}
    pictures = FolderPictures(tmp_path)
    assert len(pictures) == 5
    names = [pictures.name(index) for index in range(5)]
    assert names == ["0.png", "3.png", "3.png", "3.png", "0.png"]
    assert pictures.unreadable == bad
    # Whatever was read before, and however little is remembered:
    assert FolderPictures(tmp_path, TensorCache(1)).name(2) == "3.png"
    assert torch.equal(FolderPictures(tmp_path).picture(4), pictures.picture(0))


def test_a_folder_with_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(MagkitError, match="no folder"):
        FolderPictures(tmp_path / "absent")
    with pytest.raises(MagkitError, match="no usable picture"):
        FolderPictures(tmp_path)
    cut_off(saved(tmp_path / "x.png"))
    with pytest.raises(MagkitError, match="no picture that can be read"):
        FolderPictures(tmp_path).picture(0)


class Coco:
    """A COCO instances file in the making, and its pictures."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def image(self, **changed: Any) -> int:
        number = len(self.images) + 1
        saved(self.folder / "images" / f"{number}.png", number)
        info = {"id": number, "file_name": f"{number}.png", "height": SHAPE[0], "width": SHAPE[1]}
        self.images.append({**info, **changed})
        return number

    def box(self, image: int, left: int, top: int, right: int, bottom: int, **changed: Any) -> None:
        """Adds a rectangle."""
        outline = [left, top, right, top, right, bottom, left, bottom]
        annotation = {
            "id": len(self.annotations) + 100,
            "image_id": image,
            "category_id": 1,
            "iscrowd": 0,
            "area": (right - left) * (bottom - top),
            "bbox": [left, top, right - left, bottom - top],
            "segmentation": [outline],
        }
        self.annotations.append({**annotation, **changed})

    def open(self) -> CocoCutouts:
        path = self.folder / "instances.json"
        categories = [{"id": 1, "name": "thing"}]
        content = {
            "images": self.images,
            "annotations": self.annotations,
            "categories": categories,
        }
        path.write_text(json.dumps(content), encoding="utf-8")
        return CocoCutouts(path, self.folder / "images")


@pytest.fixture
def coco(tmp_path: Path) -> Coco:
    return Coco(tmp_path)


def run_lengths(mask: Picture) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(mask))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode()}


def test_polygons(coco: Coco) -> None:
    coco.box(coco.image(), 20, 30, 60, 54)
    made = coco.open().cutout(0, 100)
    assert made.shape == (4, 27, 43)  # a pixel around it, two at the end
    window = colours(1)[29:56, 19:62]
    np.testing.assert_allclose(made[:3], window.transpose(2, 0, 1) / 255, atol=1e-6)
    assert made[3].sum() == pytest.approx(40 * 24, rel=0.05)
    assert made[3, 0].max() == made[3, :, 0].max() == made[3, :, -1].max() == 0


@pytest.mark.parametrize("compressed", [True, False])
def test_run_lengths(coco: Coco, compressed: bool) -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[10:40, 20:70] = 1
    mask[20:30, 30:50] = 0
    segmentation = run_lengths(mask)
    if not compressed:
        turns = np.flatnonzero(np.diff(mask.T.ravel(), prepend=0)).tolist()
        segmentation["counts"] = np.diff([0, *turns, mask.size]).tolist()
    coco.box(coco.image(), 20, 10, 70, 40, segmentation=segmentation)
    made = coco.open().cutout(0, 100)
    np.testing.assert_array_equal(made[3], mask[9:42, 19:72])


def test_what_is_no_object_is_left_out(coco: Coco) -> None:
    image, _, gone = coco.image(), coco.image(), coco.image()
    absent = coco.image(file_name="absent.png")
    nameless = coco.image()
    del coco.images[nameless - 1]["width"]
    (coco.folder / "images" / f"{gone}.png").unlink()
    coco.box(image, 20, 20, 60, 60, iscrowd=1)
    coco.box(image, 20, 20, 30, 30)  # tiny
    coco.box(image, 0, 20, 40, 60)  # cut by the border
    coco.box(image, 20, 20, 95, 60)
    coco.box(absent, 20, 20, 60, 60)
    coco.box(gone, 20, 20, 60, 60)
    coco.box(nameless, 20, 20, 60, 60)
    coco.box(77, 20, 20, 60, 60)  # of no picture
    coco.box(image, 20, 20, 60, 60, segmentation=[])
    coco.box(image, 22, 21, 60, 60)
    cutouts = coco.open()
    assert len(cutouts) == 1
    assert cutouts.name(0) == f"1.png#{coco.annotations[-1]['id']}"


def test_broken_objects_are_replaced_by_the_next(coco: Coco) -> None:
    good, cut, other = coco.image(), coco.image(), coco.image(height=70)
    coco.box(cut, 20, 20, 60, 60)
    coco.box(other, 20, 20, 60, 60)  # its picture has another size than is said
    coco.box(good, 20, 20, 60, 60, segmentation=[[1, 2]])
    coco.box(good, 30, 20, 60, 60)
    bad = cut_off(coco.folder / "images" / f"{cut}.png")
    cutouts = coco.open()
    assert {cutouts.name(index) for index in range(4)} == {"1.png#103"}
    assert bad in cutouts.unreadable
    assert torch.equal(cutouts.cutout(0, 50), cutouts.cutout(3, 50))


def test_files_without_objects(coco: Coco) -> None:
    coco.image()
    with pytest.raises(MagkitError, match="names no object"):
        coco.open()
    coco.box(1, 20, 20, 60, 60, segmentation=[[1, 2]])
    with pytest.raises(MagkitError, match="can be cut out"):
        coco.open().cutout(0, 20)


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "{}", '{"images": 3}', "null"])
def test_files_that_are_not_coco(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(MagkitError):
        CocoCutouts(path, tmp_path)


def test_loading_prints_nothing(coco: Coco, capfd: pytest.CaptureFixture[str]) -> None:
    coco.box(coco.image(), 20, 20, 60, 60)
    coco.open()
    assert capfd.readouterr() == ("", "")


def test_objects_of_real_files(data_root: Path) -> None:
    images = data_root / "coco" / "val2017"
    pictures = FolderPictures(images)
    cutouts = CocoCutouts(data_root / "coco/annotations/instances_val2017_dev.json", images)
    assert len(pictures) > 90
    assert len(cutouts) > 200
    for index in range(0, len(cutouts), 40):
        made = cutouts.cutout(index, 64)
        assert made[3].mean() > 0.05
    config = SceneConfig(size=64)
    scene = draw_scene(config, len(pictures), len(cutouts), 0, 0)
    made = render([scene], config, Sources(pictures, cutouts)).a
    assert made.std() > 0.02
    assert not cutouts.unreadable
    assert not pictures.unreadable


def test_a_grey_picture_among_real_ones(data_root: Path) -> None:
    folder = data_root / "coco" / "train2017"
    grey = [p for p in sorted(folder.glob("*.jpg")) if _mode(p) == "L"]
    assert grey
    made = read_rgb(grey[0])
    assert torch.equal(made[0], made[2])


def _mode(path: Path) -> str:
    with Image.open(path) as image:
        return image.mode
