"""A data set's fingerprint: the same wherever it stands, another where other pixels are stored."""

import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

from magkit.data import store as stores
from magkit.data.open import open_dataset
from magkit.data.plan import SAMPLE_SIZE, Format, Plan, make_plan, sample_indices, sources_digest
from magkit.data.write import write_dataset
from magkit.errors import MagkitError
from magkit.selfsup.frames import open_frames
from magkit.synth.build import build_sources

Made = Callable[..., Path]
STORED: list[Format] = ["folder", "tar", "published"]
MANY = 40


def fingerprint(place: Path | str) -> str:
    return open_dataset(str(place)).fingerprint


def published(folder: Path, shade: int = 0, count: int = MANY) -> Path:
    """A data set of plain colours by somebody else; its alphas are always the same."""
    for number, part in enumerate(("frameA", "frameB", "frameC", "amplified")):
        (folder / part).mkdir(parents=True)
        for index in range(count):
            colour = (shade, 50 * number, index)
            Image.new("RGB", (20, 12), colour).save(folder / part / f"{index:06}.png")
    (folder / "train_mf.txt").write_text("9\n" * count)
    return folder


def test_other_pictures_with_the_same_alphas_are_another_data_set(tmp_path: Path) -> None:
    one, other = published(tmp_path / "one"), published(tmp_path / "other", shade=1)
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) == fingerprint(shutil.copytree(one, tmp_path / "copy"))


@pytest.mark.parametrize("part", ["frameA", "frameB", "frameC", "amplified"])
@pytest.mark.parametrize("index", [0, 17, MANY - 1])
def test_a_picture_of_another_length_is_told_anywhere(
    tmp_path: Path, part: str, index: int
) -> None:
    folder = published(tmp_path / "x")
    before = fingerprint(folder)
    noise = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / part / f"{index:06}.png")
    assert fingerprint(folder) != before


def test_of_pictures_of_equal_length_a_sample_is_read(tmp_path: Path) -> None:
    folder = published(tmp_path / "x")
    path, found = folder / "amplified" / "000000.png", set()
    for shade in (0, 9):
        Image.new("RGB", (20, 12), (0, 150, shade)).save(path, compress_level=0)
        found.add((path.stat().st_size, fingerprint(folder)))
    assert len({size for size, _ in found}) == 1
    assert len(found) == 2


@pytest.mark.parametrize("layout", STORED)
def test_it_is_the_same_elsewhere_and_in_another_process(
    made: Made, tmp_path: Path, layout: Format
) -> None:
    here = open_dataset(str(made(layout)))
    bucket = fsspec.filesystem("memory")
    bucket.put(str(made(layout)), f"/marked/{layout}", recursive=True)
    try:
        assert fingerprint(f"memory://marked/{layout}") == here.fingerprint
    finally:
        bucket.rm("/marked", recursive=True)
    copy = shutil.copytree(made(layout), tmp_path / "copy")
    assert fingerprint(copy) == pickle.loads(pickle.dumps(here)).fingerprint == here.fingerprint


def test_stored_pictures_count_whatever_was_planned(made: Made, tmp_path: Path) -> None:
    folder = shutil.copytree(made("folder"), tmp_path / "x")
    Image.new("RGB", (32, 32), "red").save(folder / "scenes" / "000002" / "m.png")
    assert fingerprint(folder) != fingerprint(made("folder"))
    again = shutil.copytree(made("folder"), tmp_path / "again")
    lines = (again / "index.jsonl").read_text().splitlines()
    lines[3] = json.dumps({**json.loads(lines[3]), "factor": 3.25})
    (again / "index.jsonl").write_text("\n".join(lines) + "\n")
    assert fingerprint(again) != fingerprint(made("folder"))


def test_tar_files_of_another_plan_are_another_data_set(made: Made, tmp_path: Path) -> None:
    folder = shutil.copytree(made("tar"), tmp_path / "x")
    path = folder / "triplets-000000.tar"
    content = bytearray(path.read_bytes())
    start = int(np.load(folder / "offsets.npy")[0, 0, 0]) + 60
    content[start] ^= 1  # a pixel, or its checksum
    path.write_bytes(content)
    assert fingerprint(folder) != fingerprint(made("tar"))


def test_a_bounded_number_of_files_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, reads = open_dataset(str(published(tmp_path / "x", count=200))), []
    read = stores.Store.read

    def counted(self: Any, name: str, most: int) -> bytes:
        reads.append(name)
        return read(self, name, most)

    monkeypatch.setattr(stores.Store, "read", counted)
    assert data.fingerprint == data.fingerprint
    assert len(reads) == 4 * SAMPLE_SIZE
    assert {"frameA/000000.png", "amplified/000199.png"} <= set(reads)


@pytest.mark.parametrize("count", [1, 2, 3, 15, 16, 17, 1000])
def test_what_is_sampled_is_spread_from_end_to_end(count: int) -> None:
    found = sample_indices(count)
    assert len(found) == min(count, SAMPLE_SIZE)
    assert (found[0], found[-1]) == (0, count - 1)
    gaps = np.diff(found)
    assert not len(gaps) or gaps.max() - gaps.min() <= 1


def test_single_frames_are_read_of_a_layout_that_is_not_whole(tmp_path: Path) -> None:
    folder = published(tmp_path / "x", count=3)
    whole = fingerprint(folder)
    shutil.rmtree(folder / "amplified")
    data = open_dataset(str(folder))
    assert len(data.frames([0, 2])) == 2
    assert data.fingerprint != whole


def test_a_sampled_picture_that_is_missing_is_told(made: Made, tmp_path: Path) -> None:
    folder = shutil.copytree(made("folder"), tmp_path / "x")
    (folder / "scenes" / "000004" / "c.png").unlink()
    with pytest.raises(MagkitError, match="scene 4 of"):
        fingerprint(folder)


def bitmaps(folder: Path, seed: int) -> Path:
    """Pictures without compression: as long whatever they show."""
    folder.mkdir(exist_ok=True)
    draws = np.random.default_rng(seed)
    for number in range(3):
        noise = draws.integers(0, 256, (70, 70, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.bmp")
    return folder


def test_sources_of_the_same_names_and_sizes_are_told_apart(plan: Plan, tmp_path: Path) -> None:
    folder, recipe = bitmaps(tmp_path / "in", 0), tmp_path / "recipe"
    sources = build_sources([str(folder)], None, None, 0)
    write_dataset(recipe, make_plan("triplets", "recipe", 4, 0, plan.config, sources), sources)
    before = fingerprint(recipe), sources_digest(sources), open_frames(str(folder), 64).describe()
    assert fingerprint(recipe) == before[0]
    bitmaps(folder, 1)
    after = (
        fingerprint(recipe),
        sources_digest(build_sources([str(folder)], None, None, 0)),
        open_frames(str(folder), 64).describe(),
    )
    assert all(one != other for one, other in zip(before, after, strict=True))


def test_nothing_is_drawn_of_procedural_sources(made: Made, plan: Plan) -> None:
    assert sources_digest(build_sources((), None, None, 6)) == ""
    assert fingerprint(made("recipe")) == replace(plan, format="recipe").fingerprint
