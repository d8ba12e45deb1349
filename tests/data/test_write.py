"""What is written, and that stops, processes and shares change none of it."""

import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from magkit.data import encode as encoding
from magkit.data import layouts
from magkit.data import write as module
from magkit.data.open import open_dataset
from magkit.data.plan import Format, Plan, make_plan, read_plan
from magkit.data.write import work_folder, write_dataset
from magkit.errors import MagkitError, UsageError
from magkit.runtime.shard import Shard
from magkit.synth.build import build_sources
from magkit.synth.records import VARIETY
from magkit.synth.render import Sources, render
from magkit.synth.scene import SceneConfig, draw_scene

Made = Callable[..., Path]
STORED: tuple[Format, ...] = ("folder", "tar", "published")
ABOUT = {"dataset.json", "contact.png", "histograms.png", "statistics.json"}


@pytest.fixture(autouse=True)
def small_tar_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two scenes a file, so that five scenes are several."""
    monkeypatch.setattr(layouts, "TAR_SCENES", 2)
    monkeypatch.setitem(module.LAYOUTS, "tar", replace(layouts.TAR, scenes_per_unit=2))


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def written(place: Path, plan: Plan, sources: Sources, **options: Any) -> dict[str, bytes]:
    write_dataset(place, plan, sources, **options)
    return contents(place)


def levels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_folder_holds_the_scenes_and_an_index(plan: Plan, sources: Sources, made: Made) -> None:
    folder = made("folder")
    names = [*(f"{name}.png" for name in "abcm"), "motion.png"]
    scenes = {f"scenes/{index:06}/{name}" for index in range(5) for name in names}
    assert contents(folder).keys() == {*scenes, *ABOUT, "index.jsonl"}
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    lines = [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]
    for index, line in enumerate(lines):
        scene = draw_scene(plan.config, 6, 6, 3, index)
        truth = render([scene], plan.config, sources)
        assert (line["index"], line["factor"], line["kind"]) == (index, scene.factor, scene.kind)
        assert [x["motion"] for x in line["objects"]] == [list(x.motion) for x in scene.layers]
        for name in "abcm":
            frame = getattr(truth, name)[0].permute(1, 2, 0).numpy() * 255
            np.testing.assert_array_equal(levels(folder / line["files"][name]), np.rint(frame))


def test_scenes_like_real_clips_are_stored_with_their_truth(
    sources: Sources, tmp_path: Path
) -> None:
    config = SceneConfig(size=32, objects=(1, 2), **dict.fromkeys(VARIETY, 1.0))  # type: ignore[arg-type]
    rich = make_plan("triplets", "folder", 4, 1, config, sources)
    folder = tmp_path / "x"
    write_dataset(folder, rich, sources)
    data = open_dataset(str(folder))
    for index in range(4):
        scene = draw_scene(config, 6, 6, 1, index)
        truth, stored = render([scene], config, sources), data.triplets([index])
        for name in "abcm":
            assert torch.equal(getattr(stored, name), getattr(truth, name))
        unit = float(truth.motion.abs().max()) / 32767
        assert (stored.motion - truth.motion).abs().max() <= unit
        line = json.loads((folder / "index.jsonl").read_text().splitlines()[index])
        assert line["background"]["source"] == f"ground {scene.ground}"
        assert ("deformation" in line["background"]) == (scene.deformation is not None)
        assert ("exposure" in line) == any(scene.exposure)
    assert read_plan((folder / "dataset.json").read_bytes(), "it").config == config


def test_tar_files_are_webdatasets(
    made: Made, plan: Plan, sources: Sources, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "x", replace(plan, format="tar"), sources)
    files = sorted((tmp_path / "x").glob("*.tar"))
    assert [path.name for path in files] == [f"triplets-00000{n}.tar" for n in range(3)]
    found: dict[str, bytes] = {}
    for path in files:
        with tarfile.open(path) as tar:
            found |= {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]
    plain = contents(made("folder"))
    for index in range(5):
        for name in ("a", "b", "c", "m", "motion"):
            assert found.pop(f"{index:06}.{name}.png") == plain[f"scenes/{index:06}/{name}.png"]
        assert json.loads(found.pop(f"{index:06}.json"))["index"] == index
    assert not found


def test_single_frames(plan: Plan, sources: Sources, made: Made, tmp_path: Path) -> None:
    frames = contents(made("folder", "frames"))
    assert len([name for name in frames if name.startswith("frames/")]) == 5
    assert frames["frames/000003.png"] == contents(made("folder"))["scenes/000003/a.png"]
    packed = replace(plan, kind="frames", format="tar")
    assert "frames-000002.tar" in written(tmp_path / "x", packed, sources)
    with pytest.raises(UsageError, match="published layout"):
        make_plan("frames", "published", 1, 0, plan.config, sources)


def test_statistics_count_every_scene_and_layer(made: Made, plan: Plan) -> None:
    scenes = [draw_scene(plan.config, 6, 6, 3, index) for index in range(5)]
    layers = [
        (scene, m) for scene in scenes for m in (scene.motion, *(x.motion for x in scene.layers))
    ]
    lengths = np.array([np.hypot(*m) for _, m in layers])
    magnified = np.array([scene.factor * np.hypot(*m) for scene, m in layers])
    for layout in ("folder", "recipe"):
        numbers = json.loads((made(layout) / "statistics.json").read_text())
        assert numbers["scenes"] == sum(numbers["kinds"].values()) == 5
        assert numbers["displacement"]["zero"] == (lengths == 0).sum()
        assert sum(numbers["displacement"]["counts"]) == (lengths > 0).sum()
        assert numbers["magnified"]["most"] == pytest.approx(magnified.max())
        assert numbers["factor"]["mean"] == pytest.approx(np.mean([s.factor for s in scenes]))
    assert levels(made("folder") / "histograms.png").min() < 100
    assert levels(made("folder") / "contact.png").shape == (5 * 164, 4 * 164, 3)
    assert levels(made("folder", "frames") / "contact.png").shape == (2 * 164, 4 * 164, 3)


def test_a_recipe_holds_no_pixels_but_the_contact_sheet(made: Made) -> None:
    assert contents(made("recipe")).keys() == ABOUT
    sheets = [contents(made(name))["contact.png"] for name in ("recipe", "folder")]
    assert sheets[0] == sheets[1]


@pytest.mark.parametrize("layout", STORED)
def test_processes_and_shares_change_nothing(
    plan: Plan, sources: Sources, tmp_path: Path, layout: Format
) -> None:
    plan = replace(plan, format=layout)
    whole = written(tmp_path / "whole", plan, sources)
    for number in (2, 3, 1):
        share = Shard(number, 3)
        assert not write_dataset(tmp_path / "x", plan, sources, share=share).whole
        assert not (tmp_path / "x").exists()
    seen: list[tuple[int, int | None]] = []
    done = write_dataset(
        tmp_path / "x", plan, sources, progress=lambda n, all_: seen.append((n, all_))
    )
    assert (done.whole, done.resumed, seen) == (True, 5, [(5, 5)])
    assert contents(tmp_path / "x") == whole
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "x"}


def test_two_processes_write_the_same(
    plan: Plan, sources: Sources, made: Made, tmp_path: Path
) -> None:
    assert written(tmp_path / "x", plan, sources, processes=2) == contents(made("folder"))


@pytest.mark.parametrize("layout", STORED)
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_stopped_and_continued_it_is_the_same(
    plan: Plan,
    sources: Sources,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    layout: Format,
    error: type[BaseException],
) -> None:
    plan = replace(plan, format=layout)
    encode = encoding.encode

    def fail_at_the_fourth(plan: Plan, sources: Sources, index: int) -> Any:
        if index == 3:
            raise error
        return encode(plan, sources, index)

    monkeypatch.setattr(module, "encode", fail_at_the_fourth)
    with pytest.raises(error):
        write_dataset(tmp_path / "x", plan, sources)
    assert [path.name for path in tmp_path.iterdir()] == [".x.unfinished"]
    monkeypatch.setattr(module, "encode", encode)
    assert write_dataset(tmp_path / "x", plan, sources).resumed == (2 if layout == "tar" else 3)
    assert contents(tmp_path / "x") == written(tmp_path / "whole", plan, sources)


def test_what_a_killed_process_left_is_swept_away(
    plan: Plan, sources: Sources, made: Made, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "x", plan, sources, share=Shard(1, 2))
    work = work_folder(tmp_path / "x", plan)
    (work / "data" / ".triplets-000000-1234.tar").write_bytes(b"half")
    (work / "records" / ".000001-1234.json").write_text("{")
    assert written(tmp_path / "x", plan, sources) == contents(made("folder"))


def test_stopped_while_it_is_joined_it_is_the_same(
    plan: Plan, sources: Sources, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    for name in ("contact_sheet", "replace_path"):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, stop)
            with pytest.raises(KeyboardInterrupt):
                write_dataset(tmp_path / "x", plan, sources)
    assert write_dataset(tmp_path / "x", plan, sources).resumed == 5
    assert contents(tmp_path / "x") == contents(made("folder"))


@pytest.mark.parametrize("layout", ["folder", "recipe"])
def test_what_exists_is_not_overwritten_unasked(
    plan: Plan, sources: Sources, tmp_path: Path, layout: Format
) -> None:
    folder, small = tmp_path / "x", replace(plan, count=1, format=layout)
    before = written(folder, small, sources)
    with pytest.raises(MagkitError, match="exists"):
        write_dataset(folder, replace(small, seed=5), sources)
    assert contents(folder) == before
    assert written(folder, replace(small, seed=5), sources, overwrite=True) != before


@pytest.mark.parametrize("name", ["x", "."])
def test_a_folder_of_something_else_is_never_replaced(
    plan: Plan, sources: Sources, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.txt").write_text("years")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MagkitError, match="not replaced"):
        write_dataset(Path(name), plan, sources, overwrite=True)
    assert (tmp_path / "x" / "thesis.txt").read_text() == "years"


def test_a_recipe_is_not_shared_out(plan: Plan, sources: Sources, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="recipe"):
        write_dataset(tmp_path / "x", replace(plan, format="recipe"), sources, share=Shard(1, 2))


def test_broken_pictures_are_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (70, 70, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "in" / f"{number}.png")
    bad = tmp_path / "in" / "1.png"
    bad.write_bytes(bad.read_bytes()[:5000])
    sources = build_sources([str(tmp_path / "in")], None, None, 0)
    config = SceneConfig(size=32, objects=(0, 0))
    plan = make_plan("triplets", "folder", 12, 3, config, sources)
    done = write_dataset(tmp_path / "x", plan, sources)
    assert len(done.unreadable) == 1
    assert done.unreadable[0].endswith("1.png")
    lines = (tmp_path / "x" / "index.jsonl").read_text().splitlines()
    used = {json.loads(line)["background"]["source"] for line in lines}
    assert used == {"0.png", "2.png"}


def test_a_disk_that_fills_up_leaves_work_to_go_on_with(
    plan: Plan, sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space"):
            write_dataset(tmp_path / "x", plan, sources)
    assert not (tmp_path / "x").exists()
    assert write_dataset(tmp_path / "x", plan, sources).whole
    shutil.rmtree(tmp_path / "x")
