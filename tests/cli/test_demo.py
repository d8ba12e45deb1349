"""`magkit demo` from end to end."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magkit.cli import run
from magkit.evaluate import demo as made
from magkit.video import open_video


@pytest.fixture
def demo(here: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs `magkit demo ARGUMENTS` here on a few frames, with a small network."""
    monkeypatch.setattr(made, "FRAMES", 5)
    monkeypatch.setattr(made, "PEAKS", range(3, 5, 18))
    return lambda *arguments: run(["demo", "--weights", str(weights), *map(str, arguments)])


def test_it_writes_what_it_promises_and_tells_the_gain(
    demo: Callable[..., int], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert demo("--json") == 0
    said = json.loads(capsys.readouterr().out)
    folder = here / "magkit-demo"
    assert sorted(path.name for path in folder.iterdir()) == sorted(made.FILES)
    assert said["files"] == [str(Path("magkit-demo") / name) for name in made.FILES]
    assert said["gains"] == [said["gain"]]
    assert 0.2 < said["gain"] < 1.5  # even an untrained network measures by least squares
    both = list(open_video(folder / "side_by_side.mp4"))
    assert [frame.shape for frame in both] == [(240, 648, 3)] * 5
    before, after = open_video(folder / "input.mp4"), open_video(folder / "magnified.mp4")
    assert before.info == after.info
    assert np.array(Image.open(folder / "slice.png")).shape == (720, 2 * 15 + 8, 3)


def test_it_says_what_it_measured(
    demo: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(made, "measure_gain", lambda *_: 0.95)
    assert demo("-o", "there") == 0
    shown = capsys.readouterr()
    told = "a vibration of 0.2 px at 2.5 Hz came out 19.0 times as large: 0.95 of the factor 20"
    assert told in shown.out
    assert "side_by_side.mp4" in shown.err


def test_a_folder_that_exists_stays(
    demo: Callable[..., int], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "magkit-demo").mkdir()
    (here / "magkit-demo" / "mine.txt").write_text("mine")
    assert demo() == 1
    assert "magkit-demo exists" in capsys.readouterr().err
    assert demo("--overwrite") == 1
    assert "more than an earlier demo's folder" in capsys.readouterr().err
    assert (here / "magkit-demo" / "mine.txt").read_text() == "mine"


def test_an_earlier_demo_is_replaced_when_told(
    demo: Callable[..., int], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made, "measure_gain", lambda *_: 0.95)
    (here / "magkit-demo").mkdir()
    (here / "magkit-demo" / "slice.png").write_text("old")
    assert demo("--overwrite") == 0
    assert Image.open(here / "magkit-demo" / "slice.png").height == 720


def test_nothing_is_left_of_one_that_failed(
    demo: Callable[..., int], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(made, "measure_gain", stop)
    assert demo() == 130
    assert not list(here.iterdir())
