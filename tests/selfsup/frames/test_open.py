"""Places of every kind, and those that hold nothing to learn from."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from magkit.errors import MagkitError, UsageError
from magkit.selfsup.frames import open_frames

Made = Callable[..., Path]


def test_pictures_of_a_folder_a_glob_a_zip_and_a_list_are_the_same(
    pictures: Made, tmp_path: Path
) -> None:
    folder = pictures((80, 64), (64, 90), (64, 64))
    files = sorted(folder.iterdir())
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        for path in files:
            archive.write(path, path.name)
    listed = tmp_path / "some.txt"
    listed.write_text("\n".join(f"pictures/{path.name}" for path in files), encoding="utf-8")
    places = (folder, folder / "*.png", tmp_path / "some.zip", listed)
    found = [open_frames(str(place), 32) for place in places]
    frames = [source.frames([2, 0, 1], "a") for source in found]
    assert frames[0].shape == (3, 3, 32, 32)
    assert all(torch.equal(other, frames[0]) for other in frames[1:])
    assert {len(source) for source in found} == {3}
    assert str(found[0]) == f"3 pictures of {folder}"


def test_a_folder_of_both_gives_both(pictures: Made, clip: Made) -> None:
    folder = pictures((64, 64), (64, 64), name="mixed")
    clip(5, folder="mixed")
    source = open_frames(str(folder), 64)
    assert str(source) == f"2 pictures of {folder} and 5 frames of {folder}"
    levels = source.frames([6, 0, 2], "a").mul(255).mean((1, 2, 3))
    alone = open_frames(str(folder / "*.png"), 64).frames([0], "a").mul(255).mean()
    assert levels.tolist() == pytest.approx([20, float(alone), 0], abs=3)
    assert [min(part) for part in source.describe()["parts"]] == ["pictures", "frames"]


def test_icons_beside_videos_are_left_out(pictures: Made, clip: Made) -> None:
    folder = pictures((16, 16), name="mixed")
    clip(5, folder="mixed")
    assert str(open_frames(str(folder), 64)) == f"5 frames of {folder}"


def test_with_nothing_given_what_gen_data_wrote_is_taken(
    dataset: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    drawn = open_frames(None, 32, scenes=3)
    assert (str(drawn), len(drawn), drawn.roles) == ("3 procedural scenes", 3, ("a", "b", "c"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "frames").symlink_to(dataset("folder", "frames"))
    assert open_frames(None, 32).roles == ("a",)
    (tmp_path / "data" / "triplets").symlink_to(dataset("folder"))
    assert str(open_frames(None, 32)) == "6 scenes of data/triplets"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Path.exists, "holds neither pictures nor videos"),
        (lambda folder: (folder / "notes.md").write_text("hello"), "neither pictures nor videos"),
        (lambda folder: (folder / "a.jpg").write_bytes(b"no picture"), "no usable picture"),
        (
            lambda folder: Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / "a.png"),
            "one frame is too few",
        ),
        (lambda folder: (folder / "a.mp4").write_bytes(b"no video"), "a.mp4"),
    ],
)
def test_folders_with_nothing_to_learn_from_are_refused(
    make: Callable[[Path], Any], said: str, tmp_path: Path
) -> None:
    make(tmp_path)
    with pytest.raises(MagkitError, match=said):
        open_frames(str(tmp_path), 32)


def test_single_files_that_are_no_videos_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "notes.md").write_text("hello\n" * 99)
    for name, said in (("a.png", "still picture"), ("notes.md", "text file"), ("b", "no folder")):
        with pytest.raises(MagkitError, match=said):
            open_frames(str(tmp_path / name), 32)


def test_sizes_and_numbers_that_can_not_be_are_refused() -> None:
    for given in ({"size": 8}, {"size": 10_000}, {"size": 64, "scenes": 0}):
        with pytest.raises(UsageError):
            open_frames(None, **given)  # type: ignore[arg-type]
