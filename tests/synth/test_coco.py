"""The objects of COCO files, from an index that is made once."""

import zipfile
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from magkit.errors import MagkitError
from magkit.synth.coco import CocoCutouts
from magkit.synth.coco_annotations import draw_mask
from magkit.synth.pictures import FilePictures
from magkit.synth.render import Sources, render
from magkit.synth.scene import SceneConfig, draw_scene

Picture = npt.NDArray[np.uint8]
Coco = Any  # a file in the making: conftest.py
SHAPE = (80, 96)  # height and width of its pictures


def run_lengths(mask: Picture) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(mask))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode()}


def test_polygons(coco: Coco) -> None:
    coco.box(coco.image(), 20, 30, 60, 54)
    made = coco.open().cutout(0, 100)
    assert made.shape == (4, 27, 43)  # a pixel around it, two at the end
    window = np.asarray(Image.open(coco.folder / "images" / "1.png"))[29:56, 19:62]
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


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32), st.floats(0, 1))
@settings(deadline=None)
def test_run_lengths_are_those_of_pycocotools(
    height: int, width: int, seed: int, share: float
) -> None:
    mask = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    made = draw_mask(run_lengths(mask), height, width)
    np.testing.assert_array_equal(made, mask)


def test_what_is_no_object_is_left_out(coco: Coco) -> None:
    image, _, gone = coco.image(), coco.image(), coco.image()
    absent = coco.image(file_name="absent.png")
    nameless = coco.image(file_name=None)
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
    bad = coco.folder / "images" / f"{cut}.png"
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 2])
    cutouts = coco.open()
    assert {cutouts.name(index) for index in range(4)} == {"1.png#103"}
    assert str(bad) in cutouts.unreadable
    assert torch.equal(cutouts.cutout(0, 50), cutouts.cutout(3, 50))


def test_files_without_objects(coco: Coco) -> None:
    coco.image()
    with pytest.raises(MagkitError, match="no annotations"):
        coco.open()
    coco.box(1, 20, 20, 60, 60, segmentation=[[1, 2]])
    with pytest.raises(MagkitError, match="1 of 1 annotations"):
        coco.open()


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
    pictures = FilePictures(images)
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


def test_the_numbering_is_that_of_pycocotools(data_root: Path) -> None:
    """The same objects in the same order, and the same masks, as the reference reads them."""
    path = data_root / "coco/annotations/instances_train2017.json"
    images = data_root / "coco/train2017"
    reference = COCO(str(path))
    expected = []
    for thing in reference.anns.values():
        x, y, w, h = thing["bbox"]
        info = reference.imgs[thing["image_id"]]
        inside = x > 1 and y > 1 and x + w < info["width"] - 1 and y + h < info["height"] - 1
        if not thing["iscrowd"] and thing["area"] >= 400 and inside:
            expected.append(f"{info['file_name']}#{thing['id']}")
    cutouts = CocoCutouts(path, images)
    assert len(cutouts) == len(expected)
    for index in range(0, len(cutouts), 60):
        name = cutouts.name(index)
        assert name == expected[index]
        mask = reference.annToMask(reference.anns[int(name.partition("#")[2])])
        assert cutouts.cutout(index, 4000)[3].sum() == pytest.approx(mask.sum())


def test_the_file_and_its_pictures_may_lie_anywhere(one: Coco, tmp_path: Path) -> None:
    local = one.open()
    exact = local.cutout(0, 50)
    memory = fsspec.filesystem("memory")
    memory.pipe("/coco/instances.json", (one.folder / "instances.json").read_bytes())
    memory.pipe("/coco/train2017/1.png", (one.folder / "images" / "1.png").read_bytes())
    with zipfile.ZipFile(tmp_path / "train2017.zip", "w") as archive:
        archive.write(one.folder / "images" / "1.png", "train2017/1.png")
    remote = "memory://coco/instances.json"
    for images in (tmp_path / "train2017.zip", "memory://coco/train2017", one.folder / "images"):
        made = CocoCutouts(remote, str(images))
        made.prepare([0])
        assert torch.equal(made.cutout(0, 50), exact)
        assert made.sha256 == local.sha256
    assert CocoCutouts(remote, "memory://coco").place(0) == "memory://coco/train2017/1.png"


@pytest.mark.parametrize(
    "segmentation",
    [
        [[20, 20, 1e12, 20, 30, 1e12]],  # the decoder would walk along it pixel by pixel
        [[20, 20, "x", 20, 30, 40]],
        [[]],
        ["text"],
        {"size": [10**6, 10**6], "counts": [5, 10**12 - 5]},
        {"size": list(SHAPE), "counts": [10**9, 10**9]},
        {"size": list(SHAPE), "counts": "zzzzzzzzzzzzzz"},
        {"size": list(SHAPE), "counts": [100]},
        {"size": list(SHAPE), "counts": ""},
        {"size": list(SHAPE)},
        {"counts": "abc"},
        {"deep": [[[[]]]]},
    ],
)
def test_hostile_outlines_are_replaced(coco: Coco, segmentation: Any) -> None:
    image = coco.image()
    coco.box(image, 20, 30, 60, 54, segmentation=segmentation)
    coco.box(image, 20, 30, 60, 54)
    assert coco.open().name(0) == "1.png#101"
