"""Where scenes get their pixels from, as command lines name it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.synth.build import build_sources, find_object_images


def picture(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((100, 120, 3), value, np.uint8)).save(path)


def instances(path: Path, names: list[str]) -> Path:
    """An instances file with a square in each picture."""
    images = [{"id": n, "file_name": f, "width": 120, "height": 100} for n, f in enumerate(names)]
    things = [
        {
            "id": n + 1,
            "image_id": n,
            "category_id": 1,
            "iscrowd": 0,
            "area": 1600,
            "bbox": [30, 30, 40, 40],
            "segmentation": [[30, 30, 70, 30, 70, 70, 30, 70]],
        }
        for n in range(len(names))
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {"images": images, "annotations": things, "categories": [{"id": 1}]}
    path.write_text(json.dumps(table))
    return path


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    for n in range(3):
        picture(tmp_path / "val2017" / f"{n}.png", 10 + n)
    picture(tmp_path / "train2017" / "0.png", 200)
    names = [f"{n}.png" for n in range(3)]
    return instances(tmp_path / "annotations" / "instances_val2017_part.json", names)


def test_nothing_given_is_procedural() -> None:
    sources = build_sources([], None, None, 0)
    assert (len(sources.pictures), len(sources.cutouts)) == (2048, 2048)
    sources = build_sources([], None, None, 5)
    assert (len(sources.pictures), len(sources.cutouts)) == (5, 5)


def test_folders_bring_the_backgrounds(tmp_path: Path) -> None:
    for folder, count in (("a", 2), ("b", 1)):
        for n in range(count):
            picture(tmp_path / folder / f"{n}.png", 50)
    folders = [tmp_path / "a", tmp_path / "b"]
    sources = build_sources(folders, None, None, 0)
    assert (len(sources.pictures), len(sources.cutouts)) == (3, 2048)
    sources = build_sources(folders, None, None, 7)
    assert (len(sources.pictures), len(sources.cutouts)) == (10, 7)


def test_objects_bring_their_own_pictures(coco: Path, tmp_path: Path) -> None:
    sources = build_sources([], coco, None, 0)
    assert (len(sources.pictures), len(sources.cutouts)) == (3, 3)
    assert sources.cutouts.cutout(2, 40)[0].max().item() == pytest.approx(12 / 255, abs=1e-3)
    sources = build_sources([tmp_path / "train2017"], coco, None, 4)
    assert (len(sources.pictures), len(sources.cutouts)) == (5, 7)


def test_the_pictures_of_objects_are_found_as_coco_lays_them_out(
    coco: Path, tmp_path: Path
) -> None:
    assert find_object_images(coco) == tmp_path.resolve() / "val2017"
    flat = tmp_path / "flat"
    picture(flat / "images" / "0.png", 1)
    assert find_object_images(instances(flat / "labels.json", ["0.png"])) == flat / "images"
    lonely = instances(tmp_path / "lonely" / "deep" / "labels.json", ["0.png"])
    with pytest.raises(MagkitError, match="not found beside it") as caught:
        find_object_images(lonely)
    assert "--object-images" in caught.value.hint
    assert len(build_sources([], lonely, tmp_path / "val2017", 0).cutouts) == 1


def test_what_is_refused(coco: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="negative"):
        build_sources([], None, None, -1)
    with pytest.raises(UsageError, match="no objects"):
        build_sources([], None, tmp_path, 0)
    with pytest.raises(MagkitError, match=r"no file .*none\.json"):
        build_sources([], tmp_path / "none.json", None, 0)
    with pytest.raises(MagkitError, match="nowhere"):
        build_sources([tmp_path / "nowhere"], None, None, 0)
    with pytest.raises(MagkitError, match="nowhere"):
        build_sources([], coco, tmp_path / "nowhere", 0)
