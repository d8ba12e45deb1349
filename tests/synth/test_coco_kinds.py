"""COCO files as other programs write them: read, or refused at the start with counted reasons."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image

from magkit.errors import MagkitError
from magkit.synth.coco import CocoCutouts
from magkit.synth.coco_index import connect, metadata
from magkit.synth.pictures import FileItems

Coco = Any  # a file in the making: conftest.py
AREAS: list[object] = ["960", 0, -1, float("nan"), "", [], True]
WIDTHS: list[object] = [None, 0, "wide", 10**9, -5, [], float("nan")]
BOX = (20, 30, 60, 54)  # left, top, right, bottom; 40 x 24 pixels
CORNERS = [20, 30, 60, 30, 60, 54, 20, 54]
PAIRS = [CORNERS[n : n + 2] for n in range(0, 8, 2)]
LENGTHS = [20 * 80 + 30, *([24, 56] * 39), 24, 26 + 36 * 80]
RUNS = {"size": [80, 96], "counts": LENGTHS}


@pytest.fixture
def plain(one: Coco) -> torch.Tensor:
    """The object of `one` as it is cut out of a file that holds everything."""
    made: torch.Tensor = one.open().cutout(0, 99)
    return made


@pytest.mark.parametrize(
    "changed",
    [
        *({key: None} for key in ("area", "bbox", "iscrowd", "id")),
        {"area": None, "bbox": None},
        {"area": None, "bbox": None, "segmentation": RUNS},
        *({"area": area} for area in AREAS),
        *({"bbox": box} for box in ([1, 2, 3], [20, 20, "a", 3], [20, 30, 0, 0], ["20"], "box")),
        {"bbox": ["20", "30.0", "40", "24"]},
        *({"image_id": number} for number in (1.0, "1", "1.0", "01", " 1 ")),
        *({"iscrowd": flag} for flag in (False, "0", "false", 0.0, None, "")),
        *({"segmentation": outline} for outline in (CORNERS, [PAIRS], PAIRS, [[p] for p in PAIRS])),
        *(
            {"segmentation": outline}
            for outline in ([CORNERS, [1, 2]], [[20, 30, 60, 54], CORNERS])
        ),
        *({"segmentation": outline} for outline in (RUNS, [RUNS])),
    ],
)
def test_what_programs_write_otherwise_is_the_same_object(
    one: Coco, plain: torch.Tensor, changed: dict[str, Any]
) -> None:
    one.annotations[0].update(changed)
    for key, value in changed.items():
        if value is None:
            del one.annotations[0][key]
    made = one.open()
    assert len(made) == 1
    if "segmentation" in changed and "counts" in str(changed):
        assert made.cutout(0, 99)[3].sum() == 960
    else:
        torch.testing.assert_close(made.cutout(0, 99), plain)


@pytest.mark.parametrize(
    "changed",
    [
        *({"id": number} for number in ("1", "1.0", 1.0, "001")),
        *({"width": width} for width in ("96", 96.0)),
        *({"width": width} for width in WIDTHS),
        {"width": None, "height": None},
        {"file_name": None, "coco_url": "http://images.cocodataset.org/train2017/1.png"},
        {"file_name": "", "flickr_url": "https://farm5.staticflickr.com/4026/1.png"},
        *({"file_name": name} for name in ("1.PNG", ".\\1.png", "C:\\images\\1.png")),
    ],
)
def test_images_as_other_programs_list_them(
    one: Coco, plain: torch.Tensor, changed: dict[str, Any]
) -> None:
    one.images[0].update(changed)
    for key, value in changed.items():
        if value is None:
            del one.images[0][key]
    torch.testing.assert_close(one.open().cutout(0, 99), plain)


def test_lvis(coco: Coco) -> None:
    """No `file_name`, no `iscrowd`, no size: `coco_url` tells the picture, with its folder."""
    image = coco.image()
    coco.box(image, *BOX)
    coco.images[0] = {
        "id": 391895,
        "coco_url": "http://images.cocodataset.org/train2017/000000391895.jpg",
        "neg_category_ids": [1],
        "not_exhaustive_category_ids": [],
    }
    coco.annotations[0]["image_id"] = 391895
    del coco.annotations[0]["iscrowd"]
    levels = {"train2017": 40, "val2017": 80}
    for folder, level in levels.items():
        path = coco.folder / "images" / folder / "000000391895.jpg"
        path.parent.mkdir()
        Image.fromarray(np.full((80, 96, 3), level, np.uint8)).save(path)
    assert coco.open().cutout(0, 99)[0].max().item() == pytest.approx(40 / 255, abs=0.01)


def test_a_file_name_is_not_outdone_by_urls(coco: Coco) -> None:
    """What was made of a picture may still bear the address of that picture."""
    for name in ("made.png", "2.png"):
        coco.box(coco.image(file_name=name, coco_url="http://host/set/1.png"), *BOX)
    assert len(coco.open()) == 1
    assert coco.open().name(0) == "2.png#101"


def refusal(coco: Coco, place: Path | str | None = None) -> MagkitError:
    path = coco.write()
    with pytest.raises(MagkitError) as refused:
        CocoCutouts(path, place or coco.folder / "images")
    assert str(path) in refused.value.message
    assert "lexical" not in refused.value.message
    return refused.value


@pytest.mark.parametrize("flag", [1, True, "1", 1.0])
def test_crowds_are_counted(coco: Coco, flag: object) -> None:
    """As CVAT exports masks."""
    image = coco.image()
    for left in range(10, 45):
        coco.box(image, left, 20, left + 40, 60, iscrowd=flag, segmentation=RUNS)
    error = refusal(coco)
    assert "35 of 35 annotations are crowds" in error.message
    assert "iscrowd" in error.hint


@pytest.mark.parametrize("outline", [[], None, {}, ""])
def test_boxes_are_counted(coco: Coco, outline: object) -> None:
    image = coco.image()
    for _ in range(20):
        coco.box(image, *BOX, segmentation=outline)
    for annotation in coco.annotations[:5]:
        del annotation["segmentation"]
    error = refusal(coco)
    assert "20 of 20 annotations hold a box" in error.message
    assert "polygons or masks" in error.hint


def test_every_reason_is_told_the_commonest_first(coco: Coco) -> None:
    image = coco.image()
    wrong: list[dict[str, object]] = [
        {"iscrowd": 1},
        {"segmentation": []},
        {"segmentation": ["text"]},
        {"image_id": 99},
        {"area": 399},
        {"bbox": [0, 20, 40, 40]},
    ]
    for count, changed in enumerate(wrong, 1):
        for _ in range(count):
            coco.box(image, *BOX, **changed)
    message = refusal(coco).message
    told = ["cut by", "smaller than 400", "no image", "can't be read", "hold a box", "crowds"]
    assert [message.index(reason) for reason in told] == sorted(map(message.index, told))
    for count, reason in zip(range(6, 0, -1), told, strict=True):
        assert f"{count} of 21 annotations" in message[: message.index(reason)]


@pytest.mark.parametrize(
    "outline",
    [
        [20, 30, 40, 24],  # a box
        [20, 30, 60, 30, 60],
        [[20, 30, 60, 30, 60]],
        [[20, "x", 60, 30, 60, 54]],
        [CORNERS, "x"],
        [[20, 30], [60, 54]],
        [{"x": 20, "y": 30}, {"x": 60, "y": 30}, {"x": 60, "y": 54}],
        [[[20, 30, 1], [60, 30, 1], [60, 54, 1]]],
        [[20, 30, None, 30, 60, 54]],
        "text",
        {"counts": LENGTHS},
        {"size": [80, 96]},
        {"size": [80, 96], "counts": [5, 6]},
        {"size": [96, 80], "counts": LENGTHS},
        {"size": ["a", None], "counts": LENGTHS},
        {"size": 7, "counts": LENGTHS},
    ],
)
def test_outlines_that_can_not_be_read_are_told_at_the_start(coco: Coco, outline: object) -> None:
    coco.box(coco.image(), *BOX, segmentation=outline)
    assert "1 of 1 annotations have an outline that can't be read" in refusal(coco).message


@pytest.mark.parametrize(
    "outline", [{"size": [80, 96], "counts": "zzzzz"}, [[9e9, 1, 1, 9e9, 2, 2]]]
)
def test_masks_that_can_not_be_drawn_are_told_at_the_start(coco: Coco, outline: object) -> None:
    for _ in range(3):
        coco.box(coco.image(), *BOX, segmentation=outline)
    error = refusal(coco)
    assert "3 were tried" in error.message
    assert "100" in error.message


def test_pictures_of_another_size_are_told_at_the_start(coco: Coco) -> None:
    for _ in range(2):
        coco.box(coco.image(width=192, height=160), *BOX)
    message = refusal(coco).message
    assert "96 x 80" in message
    assert "192 x 160" in message
    assert str(coco.folder / "images" / "1.png") in message


def test_few_objects_are_tried_at_the_start() -> None:
    tried: list[int] = []

    class Items(FileItems):
        def __len__(self) -> int:
            return 1000

        def place(self, number: int) -> str:
            return str(number)

        def _load(self, number: int) -> torch.Tensor:
            tried.append(number)
            if broken:
                raise MagkitError("no mask")
            return torch.zeros(1)

    broken = False
    Items("none", None).check_readable()
    assert tried == [0]
    broken = True
    with pytest.raises(MagkitError, match=r"200 were tried.* no mask"):
        Items("none", None).check_readable()
    assert tried[1:] == list(range(0, 1000, 5))


def test_another_thread_may_go_on(one: Coco) -> None:
    made = one.open()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(made.name, 0).result() == "1.png#100"


def test_pictures_that_are_not_there_are_counted(coco: Coco, tmp_path: Path) -> None:
    for _ in range(5):
        coco.box(coco.image(), *BOX)
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", "memory://nothing/here"):
        error = refusal(coco, place)
        assert "5 of 5 annotations have no picture" in error.message
        assert str(place) in error.message
        assert "5 of 5 are not there, '1.png'" in error.message
        assert "--object-images" in error.hint


def test_images_that_name_no_file_are_counted(coco: Coco) -> None:
    coco.box(coco.image(file_name=None), *BOX)
    coco.image(file_name=7)
    coco.images.append({"file_name": "x.png"})
    message = refusal(coco).message
    assert "none of its 3 images" in message
    assert "file_name" in message


def test_two_images_of_one_id_are_refused(one: Coco) -> None:
    one.image(id="1", file_name="other.png")
    message = refusal(one).message
    assert "1.png and other.png" in message
    one.images[1] = one.images[0]  # listed twice
    assert len(one.open()) == 1


def test_ids_that_mean_the_same_number_are_told_apart(coco: Coco) -> None:
    coco.image(id="01")
    coco.image(id="1")
    for given in ("01", "1", 1, "001"):
        coco.box(1, *BOX, image_id=given)
    cutouts = coco.open()
    assert [cutouts.name(n) for n in range(len(cutouts))] == ["1.png#100", "2.png#101", "2.png#102"]


def test_sizes_that_are_not_stated_are_read_from_pictures_anywhere(
    coco: Coco, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="magkit")
    images = [coco.image() for _ in range(4)]
    for info in coco.images[:3]:
        del info["width"], info["height"]
    for image in images:
        coco.box(image, *BOX)
        coco.box(image, 50, 30, 96, 54)  # cut by the border
    (coco.folder / "images" / "3.png").write_bytes(b"no picture")
    memory = fsspec.filesystem("memory")
    memory.put(str(coco.folder / "images"), "/unsized", recursive=True)
    path = coco.write()
    for place in (coco.folder / "images", "memory://unsized"):
        cutouts = CocoCutouts(path, place)
        names = [cutouts.name(n) for n in range(len(cutouts))]
        assert names == ["1.png#100", "2.png#102", "4.png#106"]
    assert "3 of 8 annotations are cut by" in caplog.messages[-1]
    assert "2 of 8 annotations have a picture whose size" in caplog.messages[-1]


def test_what_is_left_out_of_a_good_file_is_told_too(
    one: Coco, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="magkit")
    one.box(1, *BOX, iscrowd=1)
    path = one.write()
    for _ in range(2):
        CocoCutouts(path, one.folder / "images")
    told = [note for note in caplog.messages if "1 of 2 annotations are crowds" in note]
    assert len(told) == 2


def test_the_index_keeps_the_counts(one: Coco, tmp_path: Path) -> None:
    one.box(1, *BOX, iscrowd=1)
    made = one.open()
    database = connect(made._index)
    said = metadata(database)
    database.close()
    assert said["annotations"] == "2"
    assert list(json.loads(said["left_out"]).values()) == [1]
