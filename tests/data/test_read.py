"""Data sets of all formats give back what was rendered; what is damaged is told in one sentence."""

import io
import json
import pickle
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from magkit.data import store as stores
from magkit.data.encode import decode_motion, encode_motion
from magkit.data.open import open_dataset
from magkit.data.plan import Format, Plan, make_plan, read_plan
from magkit.data.write import write_dataset
from magkit.errors import MagkitError, UsageError
from magkit.synth.build import build_sources
from magkit.synth.render import Sources, render
from magkit.synth.scene import draw_scene
from magkit.synth.triplets import Triplets

Made = Callable[..., Path]
ORDER = [4, 0, 2]


@pytest.fixture
def truth(plan: Plan, sources: Sources) -> Triplets:
    scenes = [draw_scene(plan.config, 6, 6, 3, index) for index in ORDER]
    return render(scenes, plan.config, sources)


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Callable[[Format], Path]:
    """Copies a data set, to be damaged."""

    def copy(layout: Format) -> Path:
        return Path(shutil.copytree(made(layout), tmp_path / layout))

    return copy


@pytest.mark.parametrize("layout", ["folder", "tar", "recipe", "published"])
def test_scenes_come_back_in_any_order(made: Made, truth: Triplets, layout: Format) -> None:
    data = pickle.loads(pickle.dumps(open_dataset(str(made(layout)))))
    assert (len(data), data.kind, data.shape) == (5, "triplets", (32, 32))
    found = data.triplets(ORDER)
    for name in "abcm":
        torch.testing.assert_close(getattr(found, name), getattr(truth, name), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.factor, truth.factor)
    torch.testing.assert_close(data.frames(ORDER), truth.a, rtol=0, atol=1e-6)
    if data.has_motion:
        step = truth.motion.abs().amax((1, 2, 3), keepdim=True) / 32767
        assert ((found.motion - truth.motion).abs() <= step * 0.51 + 1e-9).all()
        torch.testing.assert_close(found.moving, truth.moving, rtol=0, atol=1e-5)
    else:
        assert layout == "published"
        assert found.motion.isnan().all()
    with pytest.raises(IndexError):
        data.triplets([5])


@pytest.mark.parametrize("layout", ["folder", "tar", "recipe"])
def test_single_frames(made: Made, truth: Triplets, layout: Format) -> None:
    data = open_dataset(str(made(layout, "frames")))
    torch.testing.assert_close(data.frames(ORDER), truth.a, rtol=0, atol=1e-6)
    with pytest.raises(UsageError, match="single frames"):
        data.triplets([0])


@pytest.mark.parametrize("layout", ["folder", "tar", "published"])
def test_a_bucket_is_read_like_a_folder(made: Made, layout: Format) -> None:
    bucket = fsspec.filesystem("memory")
    bucket.put(str(made(layout)), f"/bucket/{layout}", recursive=True)
    try:
        far = open_dataset(f"memory://bucket/{layout}").triplets(ORDER)
        near = open_dataset(str(made(layout))).triplets(ORDER)
        assert torch.equal(far.m, near.m)
        assert torch.equal(far.factor, near.factor)
    finally:
        bucket.rm("/bucket", recursive=True)


def test_a_scene_of_a_tar_file_is_one_range_of_bytes(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, reads = open_dataset(str(made("tar"))), []
    read_range = stores.Store.read_range

    def counted(self: Any, name: str, start: int, size: int, most: int) -> bytes:
        reads.append((name, size))
        return read_range(self, name, start, size, most)

    monkeypatch.setattr(stores.Store, "read_range", counted)
    data.triplets([3])
    assert len(reads) == 1
    assert reads[0][1] < (made("tar") / "triplets-000000.tar").stat().st_size / 4


def test_a_recipe_may_be_named_by_its_file_and_follow_it(
    made: Made, truth: Triplets, tmp_path: Path
) -> None:
    shutil.copy(made("recipe") / "dataset.json", tmp_path / "mine.json")
    assert torch.equal(open_dataset(str(tmp_path / "mine.json")).triplets(ORDER).m, truth.m)


def pictures(folder: Path, count: int) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (70, 70, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    return folder


def test_sources_that_changed_are_told(plan: Plan, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "in", 3)
    sources = build_sources([str(folder)], None, None, 0)
    recipe = make_plan("triplets", "recipe", 4, 0, plan.config, sources)
    place = tmp_path / "recipe"
    write_dataset(place, recipe, sources)
    assert len(open_dataset(str(place))) == 4
    pictures(folder, 4)
    with pytest.raises(MagkitError, match="changed"):
        open_dataset(str(place))
    shutil.rmtree(folder)
    with pytest.raises(MagkitError, match=r"sources of .* can't be used"):
        open_dataset(str(place))


def test_a_magkit_that_draws_other_scenes_is_told(
    plan: Plan, sources: Sources, tmp_path: Path
) -> None:
    other = replace(plan, format="recipe", draws="0123456789abcdef")
    (tmp_path / "dataset.json").write_text(other.text())
    with pytest.raises(MagkitError, match="draws other scenes"):
        open_dataset(str(tmp_path))


def test_a_plan_comes_back_from_its_text(plan: Plan) -> None:
    assert read_plan(plan.text().encode(), "here") == plan
    assert replace(plan, seed=9).fingerprint != plan.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"version": 1},
        {"kind": "films"},
        {"format": "floppy"},
        {"count": 0},
        {"count": 10**12},
        {"count": "5"},
        {"seed": -1},
        {"scene": {"size": 10**6}},
        {"scene": {"nonsense": 1}},
        {"scene": []},
        {"sources": None},
    ],
)
def test_a_plan_that_makes_no_sense(plan: Plan, tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({**json.loads(plan.text()), **change}))
    with pytest.raises(MagkitError, match=r"dataset\.json"):
        open_dataset(str(tmp_path))


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, '{"version": 2}', "\xff"])
def test_what_is_no_plan(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset.json").write_text(text, encoding="latin-1")
    with pytest.raises(MagkitError, match="does not describe"):
        open_dataset(str(tmp_path))


@pytest.mark.parametrize(
    "said", [{}, {"pictures": 3, "objects": 4}, {"pictures": [{}], "objects": []}]
)
def test_a_recipe_of_nothing(plan: Plan, tmp_path: Path, said: dict[str, Any]) -> None:
    broken = replace(plan, format="recipe", sources=said)
    (tmp_path / "dataset.json").write_text(broken.text())
    with pytest.raises(MagkitError):
        open_dataset(str(tmp_path))


@pytest.mark.parametrize("location", ["absent", "gs-no-such://bucket/x"])
def test_what_is_no_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MagkitError, match=location):
        open_dataset(location)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("scenes/000002/b.png", None),
        ("scenes/000002/b.png", b""),
        ("scenes/000002/b.png", b"GIF89a"),
        ("scenes/000002/motion.png", b"\x89PNG\r\n\x1a\n"),
    ],
)
def test_a_damaged_picture_is_told_by_its_scene(
    copied: Callable[[Format], Path], name: str, data: bytes | None
) -> None:
    folder = copied("folder")
    (folder / name).unlink() if data is None else (folder / name).write_bytes(data)
    with pytest.raises(MagkitError, match=r"scene 2 of .* can't be used"):
        open_dataset(str(folder)).triplets([2])


def test_a_picture_of_another_size_is_not_decoded(copied: Callable[[Format], Path]) -> None:
    folder = copied("folder")
    Image.new("RGB", (33, 32)).save(folder / "scenes" / "000001" / "m.png")
    with pytest.raises(MagkitError, match="33x32 in place of 32x32"):
        open_dataset(str(folder)).triplets([1])


def test_a_picture_without_end_is_not_read(copied: Callable[[Format], Path]) -> None:
    folder = copied("folder")
    with (folder / "scenes" / "000001" / "m.png").open("ab") as file:
        file.truncate(1 << 30)
    with pytest.raises(MagkitError, match="longer than"):
        open_dataset(str(folder)).triplets([1])


@pytest.mark.parametrize(
    "said", ["{}", "3", "{", '{"factor": NaN, "motion_unit": 1}', '{"factor": -1}']
)
def test_a_line_that_makes_no_sense(copied: Callable[[Format], Path], said: str) -> None:
    path = copied("folder") / "index.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([said, *lines[1:]]) + "\n")
    data = open_dataset(str(path.parent))
    with pytest.raises(MagkitError, match="scene 0 of"):
        data.triplets([0])
    data.triplets([1])


@pytest.mark.parametrize("count", [0, 4, 6])
def test_an_index_of_other_scenes(copied: Callable[[Format], Path], count: int) -> None:
    path = copied("folder") / "index.jsonl"
    path.write_text((path.read_text().splitlines()[0] + "\n") * count)
    with pytest.raises(MagkitError, match="lines for 5 scenes"):
        open_dataset(str(path.parent))


def test_paths_in_the_index_are_not_followed(copied: Callable[[Format], Path]) -> None:
    path = copied("folder") / "index.jsonl"
    text = path.read_text()
    path.write_text(text.replace("scenes/", "../../secret/"))
    open_dataset(str(path.parent)).triplets(range(5))


def spoilt(offsets: np.ndarray, **changes: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, changes.get("instead", offsets), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    "instead",
    [
        np.zeros((5, 6, 2), np.int64),
        np.full((5, 6, 2), -5, np.int64),
        np.full((5, 6, 2), 1 << 40, np.int64),
        np.zeros((5, 6, 2), np.int32),
        np.zeros((4, 6, 2), np.int64),
        np.array([{"a": 1}], object),
    ],
)
def test_offsets_that_make_no_sense(copied: Callable[[Format], Path], instead: np.ndarray) -> None:
    path = copied("tar") / "offsets.npy"
    path.write_bytes(spoilt(np.load(path), instead=instead))
    with pytest.raises(MagkitError, match=r"offsets|scene 1"):
        open_dataset(str(path.parent)).triplets([1])


@pytest.mark.parametrize("size", [0, 700, 3000])
def test_a_tar_file_that_was_cut_off(copied: Callable[[Format], Path], size: int) -> None:
    path = copied("tar") / "triplets-000000.tar"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(MagkitError, match="scene 4 of"):
        open_dataset(str(path.parent)).triplets([4])


def test_offsets_of_other_tar_files(copied: Callable[[Format], Path]) -> None:
    path = copied("tar") / "triplets-000000.tar"
    with tarfile.open(path, "w") as tar:
        for number in range(100):
            tar.addfile(tarfile.TarInfo(f"{number}.txt"), io.BytesIO())
        tar.addfile(tarfile.TarInfo("big"), io.BytesIO())
    with path.open("ab") as file:
        file.truncate(1 << 20)
    with pytest.raises(MagkitError, match="scene 0 of"):
        open_dataset(str(path.parent)).triplets([0])


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-6, 300), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_motion_keeps_its_precision(largest: float, height: int, width: int, seed: int) -> None:
    draws = torch.Generator().manual_seed(seed)
    motion = (torch.rand(2, height, width, generator=draws) * 2 - 1) * largest
    moving = torch.rand(1, height, width, generator=draws)
    png, unit = encode_motion(motion, moving)
    found, seen = decode_motion(png, unit, (height, width))
    # Half a step, and what is rounded off a result in single precision.
    largest = float(motion.abs().max())
    assert (found.double() - motion).abs().max() <= 0.5 * largest / 32767 + largest * 2**-24
    assert (seen.double() - moving).abs().max() <= 0.5 / 65535 + 2**-24


def test_what_does_not_move_is_exactly_still() -> None:
    png, unit = encode_motion(torch.zeros(2, 3, 4), torch.ones(1, 3, 4))
    motion, moving = decode_motion(png, unit, (3, 4))
    assert not motion.any()
    assert (moving == 1).all()
