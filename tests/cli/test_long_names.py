"""Clips, folders and results whose names are as long as a file system takes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from magkit.cli import run

Clip = Callable[..., Path]


@pytest.mark.parametrize(
    ("stem", "made"),
    [
        ("n" * 247, "n" * 247 + "_x1.mp4"),
        ("n" * 251, "n" * 248 + "_x1.mp4"),
        ("文" * 83, "文" * 82 + "_x1.mp4"),
    ],
    ids=["fits", "cut", "cut between characters"],
)
def test_magnified(clip: Clip, here: Path, stem: str, made: str) -> None:
    source = clip(f"{stem}.mp4", count=2)
    assert run(["magnify", str(source), "-f", "1"]) == 0
    assert [path.name for path in here.iterdir()] == [made]


def test_strung(clip: Clip, here: Path, tmp_path: Path) -> None:
    folder = tmp_path / ("文" * 85)
    assert run(["magnify", str(clip(count=2)), "-f", "1", "-o", str(folder)]) == 0
    assert run(["stitch", str(folder)]) == 0
    assert [path.name for path in here.iterdir()] == ["文" * 83 + ".mp4"]


def test_a_name_that_is_too_long(
    clip: Clip, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["magnify", str(clip(count=2)), "-f", "1", "-o", "n" * 252 + ".mp4"]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert "too long" in first
    assert second.startswith("  hint: ")
    assert not list(here.iterdir())
