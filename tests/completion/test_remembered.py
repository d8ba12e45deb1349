"""What is remembered is forgotten as soon as it might be wrong."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from magkit.completion import memory
from magkit.completion.memory import recalled, remember


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder for what is remembered, which isn't there yet."""
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
    assert recalled("table") is None
    remember("table", {"a": [1, "é"]})
    assert recalled("table") == {"a": [1, "é"]}
    assert recalled("other") is None
    remember("table", {"b": None})
    assert recalled("table") == {"b": None}
    assert len(list(folder.iterdir())) == 1


def test_not_when_a_file_changed(module: Path) -> None:
    remember("table", {})
    assert recalled("table") == {}
    module.write_text("one = 2\n", encoding="utf-8")
    os.utime(module, ns=(1, 1))
    assert recalled("table") is None
    remember("table", {})
    module.unlink()
    assert recalled("table") is None


def test_not_when_something_was_installed(module: Path) -> None:
    remember("table", {})
    (module.parent / "another.dist-info").mkdir()
    os.utime(module.parent, ns=(1, 1))
    assert recalled("table") is None


@pytest.mark.parametrize("variable", ["MAGKIT_PLUGINS", "MAGKIT_DISABLE_PLUGINS"])
def test_not_when_other_plugins_are_wanted(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    remember("table", {})
    monkeypatch.setenv(variable, "mine")
    assert recalled("table") is None


@pytest.mark.parametrize("attribute", ["path", "version", "prefix"])
def test_not_for_another_python(monkeypatch: pytest.MonkeyPatch, attribute: str) -> None:
    remember("table", {})
    other: Any = [*sys.path, "x"] if attribute == "path" else "x"
    monkeypatch.setattr(sys, attribute, other)
    assert recalled("table") is None


def test_not_for_ever(folder: Path) -> None:
    remember("table", {})
    for age, believed in ((memory.LONGEST + 1, None), (60, {}), (-60, None)):
        os.utime(file(folder), (time.time() - age, time.time() - age))
        assert recalled("table") == believed


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "{}", '{"of": 1, "files": [], "table": 3}']
)
def test_not_what_is_no_record(folder: Path, content: str) -> None:
    remember("table", {})
    file(folder).write_text(content, encoding="utf-8")
    assert recalled("table") is None


def test_a_table_of_another_shape_is_refused(folder: Path) -> None:
    remember("table", {})
    record = json.loads(file(folder).read_text(encoding="utf-8"))
    file(folder).write_text(json.dumps({**record, "table": 3}), encoding="utf-8")
    assert recalled("table") is None


def test_what_cannot_be_kept_is_not() -> None:
    remember("table", {"a": object()})
    assert recalled("table") is None


def test_a_short_life() -> None:
    remember("table", {}, life=0)
    assert recalled("table") is None


def test_where_nothing_can_be_kept_nothing_is(folder: Path) -> None:
    folder.write_text("a file", encoding="utf-8")
    remember("table", {})
    assert recalled("table") is None
