"""Which file is the picture that an instances file means, and when it can't be told."""

import zipfile
from pathlib import Path, PureWindowsPath
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

from magkit.errors import MagkitError
from magkit.synth.coco import CocoCutouts
from magkit.synth.listing import Listing, match_pictures, path_parts

Coco = Any  # a file in the making: conftest.py


def listing(*names: str, place: str = "/data/pics") -> Listing:
    return Listing("folder", place, f"{place}/", names, "")


def matched(name: str, files: Listing, *others: str) -> str | None:
    """The file of the first of several images."""
    number = match_pictures([name, *others], files, range(1 + len(others)))[0]
    return None if number < 0 else files.names[number]


@pytest.mark.parametrize(
    ("name", "files", "found"),
    [
        ("1.jpg", ["a/1.jpg", "1.jpg"], "1.jpg"),
        ("a/1.jpg", ["b/1.jpg", "a/1.jpg", "1.jpg"], "a/1.jpg"),
        ("./a/1.jpg", ["b/1.jpg", "a/1.jpg"], "a/1.jpg"),
        ("a\\1.jpg", ["b/1.jpg", "a/1.jpg"], "a/1.jpg"),
        ("C:\\set\\a\\1.jpg", ["b/1.jpg", "a/1.jpg"], "a/1.jpg"),
        ("/home/me/set/a/1.jpg", ["b/1.jpg", "a/1.jpg"], "a/1.jpg"),
        ("../a/x/../1.jpg", ["b/1.jpg", "a/1.jpg"], "a/1.jpg"),
        ("a/1.jpg", ["deep/b/1.jpg", "deep/a/1.jpg"], "deep/a/1.jpg"),
        ("a/1.jpg", ["deep/a/1.jpg", "a/1.jpg"], "a/1.jpg"),
        ("pics/1.jpg", ["1.jpg", "a/1.jpg"], "1.jpg"),
        ("data/pics/a/1.jpg", ["1.jpg", "a/1.jpg", "b/a/1.jpg"], "a/1.jpg"),
        ("far/1.jpg", ["a/1.jpg"], "a/1.jpg"),
        ("1.jpg", ["a/1.jpg"], "a/1.jpg"),
        ("1.JPG", ["a/1.jpg"], "a/1.jpg"),
        ("A/1.jpg", ["b/1.jpg", "a/1.JPG"], "a/1.JPG"),
        ("1.jpg", ["1.JPG", "1.jpg"], "1.jpg"),
        ("u\u0308.jpg", ["\u00fc.jpg"], "\u00fc.jpg"),
        ("http://images.cocodataset.org/a/1.jpg", ["b/1.jpg", "a/1.jpg"], "a/1.jpg"),
        ("https://host/a%20b/1.jpg?size=large#top", ["b/1.jpg", "a b/1.jpg"], "a b/1.jpg"),
        ("gs://bucket/a/1.jpg", ["b/1.jpg", "a/1.jpg"], "a/1.jpg"),
        ("2.jpg", ["1.jpg"], None),
        ("1.png", ["1.jpg"], None),
        ("", ["1.jpg"], None),
        ("..", ["1.jpg"], None),
    ],
)
def test_paths_come_before_names(name: str, files: list[str], found: str | None) -> None:
    assert matched(name, listing(*files)) == found


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("1.jpg", ["a/1.jpg", "b/1.jpg"]),
        ("c/1.jpg", ["a/1.jpg", "b/1.jpg"]),
        ("c/1.jpg", ["1.jpg", "b/1.jpg"]),
        ("c/a/1.jpg", ["d/a/1.jpg", "b/1.jpg"]),
        ("1.Jpg", ["1.jpg", "1.JPG"]),
        ("a/1.jpg", ["x/a/1.jpg", "y/a/1.jpg"]),
    ],
)
def test_what_can_not_be_told_is_refused(name: str, files: list[str]) -> None:
    with pytest.raises(MagkitError) as refused:
        matched(name, listing(*files))
    assert name in refused.value.message
    for file in files:
        assert f"/data/pics/{file}" in refused.value.message
    assert match_pictures([name], listing(*files), ()) == [-1], "nobody wants to know"


def test_a_file_belongs_to_the_name_that_fits_best() -> None:
    files = listing("1.jpg", place="/data/val")
    assert matched("val/1.jpg", files, "train/1.jpg") == "1.jpg"
    assert matched("train/1.jpg", files, "val/1.jpg") is None
    assert matched("train/1.jpg", files) == "1.jpg", "the only one of that name"
    assert matched("set/1.jpg", files, "./set/1.jpg") == "1.jpg", "one picture, listed twice"
    for names in (("train/1.jpg", "test/1.jpg"), ("test/1.jpg", "train/1.jpg")):
        with pytest.raises(MagkitError, match=r"/data/val/1\.jpg") as refused:
            matched(names[0], files, names[1])
        assert all(name in refused.value.message for name in names)
    assert matched("train/1.jpg", files, "test/1.jpg", "val/1.jpg") is None


def test_lists_and_buckets_are_searched_alike() -> None:
    places = ("https://host/b/1.jpg?x=1", "https://host/a/1.jpg?x=1", "/c/a/2.jpg")
    assert matched("a/1.jpg", Listing("list", "/l.txt", "", places, "")) == places[1]
    bucket = Listing("bucket", "gs://b/set", "gs://b/set/", ("v/1.jpg", "t/1.jpg"), "")
    assert matched("set/t/1.jpg", bucket) == "t/1.jpg"


def test_windows_paths_of_files() -> None:
    place = str(PureWindowsPath("C:/set/a/1.jpg"))
    assert path_parts(place) == ("set", "a", "1.jpg")


def test_two_folders_of_equal_names_give_their_own_pixels(coco: Coco, tmp_path: Path) -> None:
    """The fault: the picture of another folder, cut along this one's outline."""
    for number, folder in enumerate(("train", "val"), 1):
        path = tmp_path / "images" / folder / "0001.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.full((80, 96, 3), 50 * number, np.uint8)).save(path)
        image = coco.image(file_name=f"{folder}/0001.png")
        coco.box(image, 20, 30, 60, 54)
        (tmp_path / "images" / f"{image}.png").unlink()
    places = [tmp_path / "images", tmp_path, zipped(tmp_path), "memory://pics"]
    fsspec.filesystem("memory").put(str(tmp_path / "images"), "/pics", recursive=True)
    path = coco.write()
    for place in places:
        cutouts = CocoCutouts(path, str(place))
        levels = [round(255 * cutouts.cutout(n, 99)[0].max().item()) for n in (0, 1)]
        assert levels == [50, 100], place
    only = CocoCutouts(path, tmp_path / "images" / "val")
    assert [only.name(n) for n in range(len(only))] == ["0001.png#101"]
    for info in coco.images:
        info["file_name"] = "0001.png"
    with pytest.raises(MagkitError) as refused:
        coco.open()
    for folder in ("train", "val"):
        assert str(tmp_path / "images" / folder / "0001.png") in refused.value.message


def zipped(folder: Path) -> Path:
    path = folder / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in (folder / "images").rglob("*.png"):
            archive.write(file, file.relative_to(folder / "images"))
    return path
