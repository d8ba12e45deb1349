"""The index of a COCO file: made once, anew where it must be, whole or not at all."""

import json
import pickle
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import torch

from magkit.errors import MagkitError
from magkit.runtime.files import cache_folder
from magkit.synth import coco_index
from magkit.synth.coco import CocoCutouts

Coco = Any  # a file in the making: conftest.py


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGKIT_CACHE", str(tmp_path / "cache"))


def indices() -> list[Path]:
    return sorted((cache_folder() / "coco").iterdir())


def refuse(*_: object) -> None:
    raise AssertionError("the file is parsed again")


def test_a_file_is_parsed_once(one: Coco, monkeypatch: pytest.MonkeyPatch) -> None:
    first = one.open()
    monkeypatch.setattr(coco_index, "build", refuse)
    again = CocoCutouts(one.folder / "instances.json", one.folder / "images")
    assert torch.equal(again.cutout(0, 50), first.cutout(0, 50))
    assert again.describe() == first.describe()
    moved = pickle.loads(pickle.dumps(first))  # as worker processes get it
    assert torch.equal(moved.cutout(0, 50), first.cutout(0, 50))


def test_it_says_so_before_it_takes_a_while(one: Coco, log: pytest.LogCaptureFixture) -> None:
    one.open()
    log.clear()
    path = one.folder / "instances.json"
    CocoCutouts(path, one.folder / "images")
    assert not log.messages
    one.box(1, 25, 30, 60, 54)
    one.write()
    CocoCutouts(path, one.folder / "images")
    assert len(log.messages) == 1
    assert f"indexing {path}" in log.messages[0]


def test_a_changed_file_is_indexed_anew(one: Coco) -> None:
    before = one.open().describe()
    one.box(1, 25, 30, 60, 54)
    after = one.open()
    assert len(after) == 2
    assert after.describe()[0]["sha256"] != before[0]["sha256"]


def _foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE facts (name TEXT, value TEXT)")
    database.close()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:9000])


def _overwritten(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(len(data) - 4096))


@pytest.mark.parametrize(
    "damage", [lambda path: path.write_bytes(b"junk" * 2000), _foreign, _cut, _overwritten]
)
def test_a_damaged_index_is_made_anew(one: Coco, damage: Any) -> None:
    exact = one.open().cutout(0, 50)
    (index,) = indices()
    damage(index)
    again = CocoCutouts(one.folder / "instances.json", one.folder / "images")
    assert torch.equal(again.cutout(0, 50), exact)
    assert indices() == [index]


def test_a_stopped_index_leaves_nothing(one: Coco, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(coco_index, "parse_annotation", stop)
    with pytest.raises(KeyboardInterrupt):
        one.open()
    assert not (cache_folder() / "coco").exists()


def test_a_cache_that_can_not_be_written(one: Coco, monkeypatch: pytest.MonkeyPatch) -> None:
    (one.folder / "file").write_text("")
    monkeypatch.setenv("MAGKIT_CACHE", str(one.folder / "file"))
    with pytest.raises(MagkitError, match="can't be written"):
        one.open()


def test_an_index_removed_under_way_is_a_sentence(one: Coco) -> None:
    cutouts = pickle.loads(pickle.dumps(one.open()))
    indices()[0].unlink()
    with pytest.raises(MagkitError, match="can't be read"):
        cutouts.cutout(0, 50)


def test_keys_come_in_any_order(one: Coco) -> None:
    exact = one.open().cutout(0, 50)
    path = one.folder / "turned.json"
    path.write_text(json.dumps({"annotations": one.annotations, "images": one.images}))
    assert torch.equal(CocoCutouts(path, one.folder / "images").cutout(0, 50), exact)


def test_a_file_cut_off_is_none(one: Coco) -> None:
    one.open()
    path = one.folder / "instances.json"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MagkitError, match="not a COCO instances file"):
        CocoCutouts(path, one.folder / "images")
