"""A cached table is valid only while nothing that it was made of has changed."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from magkit.completion import cache
from magkit.completion.cache import load_table, save_table


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The cache's folder, which isn't there yet."""
    path = tmp_path / "cache"
    monkeypatch.setenv("MAGKIT_CACHE", str(path))
    return path


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file of a module that has been imported."""
    path = tmp_path / "path" / "some_plugin.py"
    path.parent.mkdir()
    path.write_text("one = 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(path.parent)
    monkeypatch.setattr(sys, "modules", {**sys.modules, "some_plugin": type(sys)("some_plugin")})
    sys.modules["some_plugin"].__file__ = str(path)
    return path


def file(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


def test_a_table_comes_back(folder: Path) -> None:
    assert load_table("table") is None
    save_table("table", {"a": [1, "é"]})
    assert load_table("table") == {"a": [1, "é"]}
    assert load_table("other") is None
    save_table("table", {"b": None})
    assert load_table("table") == {"b": None}
    assert len(list(folder.iterdir())) == 1


def test_not_when_a_file_changed(module: Path) -> None:
    save_table("table", {})
    assert load_table("table") == {}
    module.write_text("one = 2\n", encoding="utf-8")
    os.utime(module, ns=(1, 1))
    assert load_table("table") is None
    save_table("table", {})
    module.unlink()
    assert load_table("table") is None


def test_not_when_something_was_installed(module: Path) -> None:
    save_table("table", {})
    (module.parent / "another.dist-info").mkdir()
    os.utime(module.parent, ns=(1, 1))
    assert load_table("table") is None


@pytest.mark.parametrize("variable", ["MAGKIT_PLUGINS", "MAGKIT_DISABLE_PLUGINS"])
def test_not_when_other_plugins_are_wanted(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    save_table("table", {})
    monkeypatch.setenv(variable, "mine")
    assert load_table("table") is None


@pytest.mark.parametrize("attribute", ["path", "version", "prefix"])
def test_not_for_another_python(monkeypatch: pytest.MonkeyPatch, attribute: str) -> None:
    save_table("table", {})
    other: Any = [*sys.path, "x"] if attribute == "path" else "x"
    monkeypatch.setattr(sys, attribute, other)
    assert load_table("table") is None


def test_not_for_ever(folder: Path) -> None:
    save_table("table", {})
    for age, believed in ((cache.MAX_AGE + 1, None), (60, {}), (-60, None)):
        os.utime(file(folder), (time.time() - age, time.time() - age))
        assert load_table("table") == believed


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "{}", '{"of": 1, "files": [], "table": 3}']
)
def test_not_what_is_no_record(folder: Path, content: str) -> None:
    save_table("table", {})
    file(folder).write_text(content, encoding="utf-8")
    assert load_table("table") is None


def test_a_table_of_another_shape_is_refused(folder: Path) -> None:
    save_table("table", {})
    record = json.loads(file(folder).read_text(encoding="utf-8"))
    file(folder).write_text(json.dumps({**record, "table": 3}), encoding="utf-8")
    assert load_table("table") is None


def test_what_cannot_be_kept_is_not() -> None:
    save_table("table", {"a": object()})
    assert load_table("table") is None


def test_a_short_life() -> None:
    save_table("table", {}, max_age=0)
    assert load_table("table") is None


def test_where_nothing_can_be_kept_nothing_is(folder: Path) -> None:
    folder.write_text("a file", encoding="utf-8")
    save_table("table", {})
    assert load_table("table") is None
