"""The benchmark of whole clips: which clips, which frames are shown, when it fails."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from magkit.evaluate.whole import WholeFrame


@pytest.fixture(scope="module")
def whole_clips() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "whole_clips.py"))


def test_clips_of_the_folder_and_of_moving(whole_clips: dict[str, Any], tmp_path: Path) -> None:
    for name in ("b.mp4", "a.avi", "note.txt", "moving/c.mp4", "other/d.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in whole_clips["clips"](tmp_path)] == ["a.avi", "b.mp4", "c.mp4"]


def test_the_lowest_the_highest_and_the_last_frame_are_shown(whole_clips: dict[str, Any]) -> None:
    shown = whole_clips["Shown"]()
    pictures = [np.full((2, 3, 3), number, np.uint8) for number in range(4)]
    frames = [
        WholeFrame(before, before + 100, ratio, None)
        for before, ratio in zip(pictures, (1.0, 0.7, 1.3, 1.1), strict=True)
    ]
    assert list(shown.watch(frames)) == frames
    assert [row[0, [0, -1], 0].tolist() for row in shown.rows()] == [[1, 101], [2, 102], [3, 103]]
