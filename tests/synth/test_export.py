"""Folders of scenes: what they hold, and that stops and processes change nothing."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from magkit.errors import MagkitError
from magkit.synth import export as module
from magkit.synth.export import Plan, export
from magkit.synth.files import FolderPictures
from magkit.synth.render import Sources, render
from magkit.synth.scene import SceneConfig, draw_scene
from magkit.synth.shapes import ProceduralCutouts

PLAN = Plan(
    count=5, seed=3, config=SceneConfig(size=32, objects=(1, 2)), sources={"procedural": 12}
)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def lines(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "index.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, procedural: Sources) -> Path:
    """The plan, written without a stop by one process."""
    folder = tmp_path_factory.mktemp("whole") / "triplets"
    export(folder, PLAN, procedural)
    return folder


def test_what_is_written(whole: Path, procedural: Sources) -> None:
    names = {f"scenes/{index:06}/{name}.png" for index in range(5) for name in "abcm"}
    assert contents(whole).keys() == {*names, "config.json", "index.jsonl", "contact.png"}
    assert [path.name for path in whole.parent.iterdir()] == ["triplets"]
    scene = draw_scene(PLAN.config, 12, 12, 3, 2)
    truth = render([scene], PLAN.config, procedural)
    line = lines(whole)[2]
    for name in "abcm":
        with Image.open(whole / line["files"][name]) as image:
            made = np.asarray(image).transpose(2, 0, 1)
        np.testing.assert_array_equal(made, np.rint(getattr(truth, name)[0].numpy() * 255))


def test_the_index_says_everything(whole: Path) -> None:
    for index, line in enumerate(lines(whole)):
        scene = draw_scene(PLAN.config, 12, 12, 3, index)
        assert (line["index"], line["seed"], line["kind"]) == (index, 3, scene.kind)
        assert line["factor"] == scene.factor
        assert line["background"]["motion"] == list(scene.motion)
        assert line["background"]["source"] == f"texture {scene.background}"
        assert [thing["motion"] for thing in line["objects"]] == [
            list(x.motion) for x in scene.layers
        ]
        assert [x["source"] for x in line["objects"]] == [f"shape {x.number}" for x in scene.layers]
        assert line["colour"] == {"gain": list(scene.gain), "offset": list(scene.offset)}
    config = json.loads((whole / "config.json").read_text())
    assert config["scene"]["size"] == 32
    assert config["sources"] == {"procedural": 12, "pictures": 12, "cutouts": 12}


def test_the_contact_sheet_shows_the_first_scenes(whole: Path) -> None:
    with Image.open(whole / "contact.png") as image:
        assert image.size == (4 * 164, 5 * 164)
        assert np.asarray(image).std() > 10


def test_several_processes_write_the_same(whole: Path, tmp_path: Path, procedural: Sources) -> None:
    export(tmp_path / "x", PLAN, procedural, processes=2)
    assert contents(tmp_path / "x") == contents(whole)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_stopped_and_continued_it_is_the_same(
    whole: Path,
    tmp_path: Path,
    procedural: Sources,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    save: Callable[..., None] = Image.Image.save
    count = 0

    def fail_at_last(self: Image.Image, path: Path, **options: Any) -> None:
        nonlocal count
        count += 1
        if count == 11:  # in the middle of the third scene
            path.write_bytes(b"half a pic")
            raise error
        save(self, path, **options)

    monkeypatch.setattr(Image.Image, "save", fail_at_last)
    with pytest.raises(error):
        export(tmp_path / "x", PLAN, procedural)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == [".x.unfinished"]
    seen: list[tuple[int, int | None]] = []
    done = export(
        tmp_path / "x", PLAN, procedural, progress=lambda n, total: seen.append((n, total))
    )
    assert done.resumed == 2
    assert seen == [(2, 5), (3, 5), (4, 5), (5, 5)]
    assert contents(tmp_path / "x") == contents(whole)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_other_settings_do_not_take_up_the_work(
    tmp_path: Path, procedural: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_write", stop)
    with pytest.raises(KeyboardInterrupt):
        export(tmp_path / "x", PLAN, procedural)
    monkeypatch.undo()
    other = replace(PLAN, seed=4, count=1)
    with pytest.raises(MagkitError, match="other settings"):
        export(tmp_path / "x", other, procedural)
    export(tmp_path / "x", other, procedural, overwrite=True)
    assert lines(tmp_path / "x")[0]["seed"] == 4


def test_what_exists_is_not_overwritten_unasked(tmp_path: Path, procedural: Sources) -> None:
    folder, small = tmp_path / "x", replace(PLAN, count=1)
    export(folder, small, procedural)
    before = contents(folder)
    with pytest.raises(MagkitError, match="exists"):
        export(folder, replace(small, seed=5), procedural)
    assert contents(folder) == before
    export(folder, replace(small, seed=5), procedural, overwrite=True)
    assert contents(folder) != before


@pytest.mark.parametrize("name", ["x", "."])
def test_a_folder_of_something_else_is_never_replaced(
    tmp_path: Path, procedural: Sources, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.txt").write_text("years")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MagkitError, match="not replaced"):
        export(Path(name), PLAN, procedural, overwrite=True)
    assert (tmp_path / "x" / "thesis.txt").read_text() == "years"


def test_single_frames(tmp_path: Path, whole: Path, procedural: Sources) -> None:
    export(tmp_path / "x", replace(PLAN, kind="frames"), procedural)
    made = contents(tmp_path / "x")
    assert len(made) == 5 + 3
    assert made["frames/000003.png"] == contents(whole)["scenes/000003/a.png"]
    assert lines(tmp_path / "x")[3]["files"] == {"a": "frames/000003.png"}


def test_broken_pictures_are_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (70, 70, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "in" / f"{number}.png")
    bad = tmp_path / "in" / "1.png"
    bad.write_bytes(bad.read_bytes()[:5000])
    sources = Sources(FolderPictures(tmp_path / "in"), ProceduralCutouts(4))
    done = export(tmp_path / "x", replace(PLAN, count=12), sources)
    assert done.unreadable == (str(bad),)
    used = {line["background"]["source"] for line in lines(tmp_path / "x")}
    assert used == {"0.png", "2.png"}
