"""Renamed words reach the newer commit's commands, and no others."""

import runpy
from pathlib import Path
from typing import Any

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def tables() -> dict[str, Any]:
    return runpy.run_path(str(TOOLS / "commit_steps.py"))


def test_words_are_renamed_by_step_and_everywhere(tables: dict[str, Any]) -> None:
    tables["RENAMED_WORDS"].update({"": {"--threads": "--cores"}, "one": {"--opt": "--option"}})
    line = ("train", "--threads", "1", "--opt", "a=--opt")
    one, other = (tables["Step"](name, (line,)).renamed().commands for name in ("one", "other"))
    assert one == (("train", "--cores", "1", "--option", "a=--opt"),)
    assert other == (("train", "--cores", "1", "--opt", "a=--opt"),)


def test_places_with_spaces_stay_one_word(tables: dict[str, Any], tmp_path: Path) -> None:
    inputs = tmp_path / "two words"
    listed = {step.name: step for step in tables["steps"](inputs, tmp_path, None)}
    assert str(inputs / "made.mp4") in listed["magnify-static"].commands[0]
    assert "invert-classes" not in listed


def test_real_clips_are_taken_where_there_are_any(tables: dict[str, Any], tmp_path: Path) -> None:
    clip = tmp_path / "clips" / "evm_guitar.mp4"
    clip.parent.mkdir()
    clip.touch()
    listed = {step.name: step for step in tables["steps"](tmp_path, tmp_path, tmp_path)}
    assert str(clip) in listed["magnify-static"].commands[0]
    assert str(tmp_path / "made.mkv") in listed["magnify-band"].commands[0]
    assert not listed["invert-classes"].needs.is_file()
