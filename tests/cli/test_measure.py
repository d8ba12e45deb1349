"""`magkit measure` from end to end."""

import csv
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from magkit.cli import run
from magkit.video import WriteOptions, plain_info, write_video
from tests.measure.textures import Texture, sine

COUNT, RATE = 64, 32


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A square of texture vibrates by half a pixel at 4 Hz."""
    path = tmp_path_factory.mktemp("measure") / "clip.mkv"
    ground, thing = Texture(120, 160, seed=1).displaced(0), Texture(64, 64, seed=2)

    def frame(x: float) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        picture = ground.copy()
        picture[28:92, 48:112] = thing.displaced(x)
        return np.repeat((picture.clip(0, 1) * 255).round().astype(np.uint8)[..., None], 3, 2)

    frames = (frame(x) for x in sine(COUNT, 0.5, 8))
    # Lossless: at other rates x264 moves blocks by quarters of a pixel.
    info, lossless = plain_info(160, 120, Fraction(RATE), COUNT), WriteOptions(quality=0)
    write_video(path, frames, info, lossless)
    return path


@pytest.fixture
def measured(clip: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run `magkit measure CLIP ... --json`; return its record, or its exit code if it fails."""

    def command(*arguments: str) -> Any:
        code = run(["measure", str(clip), *arguments, "--json"])
        return json.loads(capsys.readouterr().out) if code == 0 else code

    return command


ROI = ("--roi", "56,36,48,48")


def test_a_region_in_physical_units(
    measured: Callable[..., Any],
) -> None:
    record = measured(*ROI, "--scale", "0,0,100,0=50mm", "--unit", "mm/s", "--reading", "rms")
    [region] = record["regions"]
    [tone] = region["tones"]
    assert tone["frequency"] == pytest.approx(4, abs=0.01)
    assert tone["amplitude"] == pytest.approx(0.25 * 2 * np.pi * 4 / np.sqrt(2), rel=0.02)
    assert region["verdict"] == "vibrates"


def test_the_rate_of_filming(
    measured: Callable[..., Any],
) -> None:
    record = measured(*ROI, "--capture-fps", "3200")
    assert record["regions"][0]["tones"][0]["frequency"] == pytest.approx(400, abs=1)


def test_points_rectangles_and_a_grid(
    measured: Callable[..., Any],
) -> None:
    record = measured("--at", "80,60", "--at", "20,20", *ROI, "--grid", "2x2", "--side", "24")
    names = [region["name"] for region in record["regions"]]
    assert names == ["80,60", "20,20", "56,36,48,48", "1,1", "2,1", "1,2", "2,2"]
    assert record["regions"][0]["roi"] == [68, 48, 24, 24]
    assert [region["vibrates"] for region in record["regions"][:3]] == [True, False, True]


def test_every_file(clip: Path, tmp_path: Path, measured: Callable[..., Any]) -> None:
    names = ["a.json", "a.csv", "a.npz", "a.uff", "a.png", "a.svg"]
    outputs = [part for name in names for part in ("-o", str(tmp_path / name))]
    record = measured(*ROI, *outputs)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert json.loads((tmp_path / "a.json").read_text())["regions"] == record["regions"]
    rows = list(csv.reader((tmp_path / "a.csv").open()))
    assert len(rows) == COUNT + 1
    assert np.ptp([float(row[1]) for row in rows[1:]]) == pytest.approx(1, abs=0.03)
    assert np.load(tmp_path / "a.npz")["displacement"].shape == (1, COUNT, 2)
    assert (tmp_path / "a.uff").read_text().startswith("    -1")
    assert np.asarray(Image.open(tmp_path / "a.png").convert("L")).std() > 10
    assert "<svg" in (tmp_path / "a.svg").read_text()
    assert measured(*ROI, "-o", str(tmp_path / "a.csv")) == 1
    assert isinstance(measured(*ROI, "-o", str(tmp_path / "a.csv"), "--overwrite"), dict)


def test_the_table_and_the_next_step(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["measure", str(clip), *ROI, "--at", "20,20"]) == 0
    shown = capsys.readouterr()
    assert "motion" in shown.out
    assert "noise" in shown.out
    assert "--band 3-5" in shown.out + shown.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--at", "5,5"), "outside the frame"),
        (("--at", "5"), "not 2 whole numbers"),
        (("--roi", "1,2,3"), "not 4 whole numbers"),
        (("--roi", "1,2,3,4"), "too small"),
        (("--grid", "0x3"), "no grid"),
        (("--grid", "99x99"), "too small"),
        (("--unit", "um"), "needs the size of a pixel"),
        (("--scale", "3"), "is no scale"),
        (("--capture-fps", "0"), "above 0"),
        (("-o", "a.txt"), "must end in"),
        (("--unit", "furlong"), "furlong"),
    ],
)
def test_what_is_refused(
    clip: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["measure", str(clip), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_clip_that_is_too_short(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["measure", str(clip), "--end", "0.3"]) == 1
    assert "too short" in capsys.readouterr().err
    assert run(["measure", "missing.mp4"]) == 1


def test_a_plot_needs_matplotlib(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert run(["measure", str(clip), "-o", "a.png"]) == 1
    assert "magkit[plot]" in capsys.readouterr().err
