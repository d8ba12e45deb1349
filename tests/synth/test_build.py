"""Where scenes get their pixels from, as command lines name it."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magkit.data.plan import make_plan
from magkit.data.write import write_dataset
from magkit.errors import MagkitError, UsageError
from magkit.synth.build import build_sources, changes, describe, find_object_images, rebuild
from magkit.synth.scene import SceneConfig


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
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    sources = build_sources(folders, None, None, 0)
    assert (len(sources.pictures), len(sources.cutouts)) == (3, 2048)
    sources = build_sources(folders, None, None, 7)
    assert (len(sources.pictures), len(sources.cutouts)) == (10, 7)


def test_objects_bring_their_own_pictures(coco: Path, tmp_path: Path) -> None:
    sources = build_sources([], str(coco), None, 0)
    assert (len(sources.pictures), len(sources.cutouts)) == (3, 3)
    assert sources.cutouts.cutout(2, 40)[0].max().item() == pytest.approx(12 / 255, abs=1e-3)
    sources = build_sources([str(tmp_path / "train2017")], str(coco), None, 4)
    assert (len(sources.pictures), len(sources.cutouts)) == (5, 7)


def test_the_pictures_of_objects_are_found_as_coco_lays_them_out(
    coco: Path, tmp_path: Path
) -> None:
    assert find_object_images(str(coco)) == str(tmp_path.resolve() / "val2017")
    flat = tmp_path / "flat"
    picture(flat / "images" / "0.png", 1)
    found = find_object_images(str(instances(flat / "labels.json", ["0.png"])))
    assert found == str(flat / "images")
    lonely = instances(tmp_path / "lonely" / "deep" / "labels.json", ["0.png"])
    with pytest.raises(MagkitError, match="not found beside it") as caught:
        find_object_images(str(lonely))
    assert "--object-images" in caught.value.hint
    assert len(build_sources([], str(lonely), str(tmp_path / "val2017"), 0).cutouts) == 1


def test_what_is_refused(coco: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="negative"):
        build_sources([], None, None, -1)
    with pytest.raises(UsageError, match="no objects"):
        build_sources([], None, str(tmp_path), 0)
    with pytest.raises(MagkitError, match=r"no file .*none\.json"):
        build_sources([], str(tmp_path / "none.json"), None, 0)
    with pytest.raises(MagkitError, match="nowhere"):
        build_sources([str(tmp_path / "nowhere")], None, None, 0)
    with pytest.raises(MagkitError, match="nowhere"):
        build_sources([], str(coco), str(tmp_path / "nowhere"), 0)


def cutout(path: Path) -> None:
    rgba = np.full((60, 60, 4), 200, np.uint8)
    rgba[:10] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgba).save(path)


def test_cut_outs_stand_beside_other_objects(coco: Path, tmp_path: Path) -> None:
    cutout(tmp_path / "own" / "a.png")
    own = str(tmp_path / "own")
    alone = build_sources([], own, None, 0)
    assert (len(alone.pictures), len(alone.cutouts)) == (2048, 1)
    both = build_sources([], [str(coco), own], None, 5)
    assert (len(both.pictures), len(both.cutouts)) == (3 + 5, 3 + 1 + 5)
    assert both.cutouts.name(3) == "a.png"
    with pytest.raises(UsageError, match="no objects"):
        build_sources([], own, str(tmp_path), 0)


def test_remote_objects_need_their_pictures_named() -> None:
    with pytest.raises(MagkitError, match="is not said") as caught:
        build_sources([], "memory://coco/instances.json", None, 0)
    assert "--object-images" in caught.value.hint


def test_a_description_is_enough_to_build_again(coco: Path, tmp_path: Path) -> None:
    cutout(tmp_path / "own" / "a.png")
    own, images = str(tmp_path / "own"), str(tmp_path / "train2017")
    beside = str(tmp_path / "val2017")
    cases: list[tuple[list[str], list[str] | str | None, str | None, int]] = [
        ([], None, None, 0),
        ([], None, None, 7),
        ([images], None, None, 0),
        ([images], None, None, 7),
        ([], own, None, 0),
        ([], own, None, 7),
        ([], str(coco), None, 0),
        ([images, beside], [str(coco), own], beside, 3),
    ]
    for arguments in cases:
        sources = build_sources(*arguments)
        described = json.loads(json.dumps(describe(sources)))
        again = rebuild(described)
        assert describe(again) == described
        assert changes(described, again) == []
        assert len(described["pictures"]) == len(sources.pictures.describe())
        for part in (*described["pictures"], *described["objects"]):
            assert part["kind"] == "procedural" or len(part["sha256"]) == 64
            assert Path(part.get("location", tmp_path)).is_absolute()


def test_a_change_of_the_sources_is_found(coco: Path, tmp_path: Path) -> None:
    described = describe(build_sources([], str(coco), None, 2))
    coco.write_text(coco.read_text() + " ")
    assert changes(described, rebuild(described)) == [f"{coco} has changed since it was described"]
    picture(tmp_path / "val2017" / "9.png", 1)
    assert f"{tmp_path.resolve() / 'val2017'} has changed since it was described" in changes(
        described, rebuild(described)
    )
    turned = {**described, "pictures": described["pictures"][::-1]}
    assert changes(turned, build_sources([], str(coco), None, 2))
    for broken in ({}, {"pictures": [3], "objects": []}, {"pictures": None, "objects": None}):
        with pytest.raises(MagkitError, match="no description"):
            rebuild(broken)


def test_other_processes_read_buckets_and_zips(coco: Path, tmp_path: Path) -> None:
    """Spawned processes get the sources pickled, and render what this one does."""
    with zipfile.ZipFile(tmp_path / "val2017.zip", "w") as archive:
        for path in (tmp_path / "val2017").iterdir():
            archive.write(path, path.name)
    cutout(tmp_path / "own" / "a.png")
    places = [f"file://{tmp_path.as_posix()}/train2017", str(tmp_path / "val2017.zip")]
    objects = [f"file://{coco.as_posix()}", f"file://{tmp_path.as_posix()}/own"]
    config = SceneConfig(size=32, objects=(1, 2))
    for processes in (1, 2):
        sources = build_sources(places, objects, str(tmp_path / "val2017.zip"), 0)
        assert (len(sources.pictures), len(sources.cutouts)) == (4, 4)
        plan = make_plan("triplets", "folder", 4, 1, config, sources)
        write_dataset(tmp_path / f"{processes}", plan, sources, processes=processes)
    one, two = (
        {
            p.relative_to(tmp_path / n).as_posix(): p.read_bytes()
            for p in (tmp_path / n).rglob("*.*")
        }
        for n in ("1", "2")
    )
    assert one == two
