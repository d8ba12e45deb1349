"""The benchmarks that draw pictures: their rendered clips, and whose code magnifies."""

import runpy
import subprocess
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from magkit.synth.build import build_sources
from magkit.video import Frame

FOLDER = Path(__file__).parents[2] / "benchmarks"


def load(name: str) -> dict[str, Any]:
    return runpy.run_path(str(FOLDER / name))


def changed(first: Frame, second: Frame) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the pixels that differ."""
    rows, columns = np.nonzero(np.abs(first.astype(int) - second).max(2) > 8)
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


def test_the_object_of_the_modes_travels_and_wobbles() -> None:
    slices = load("mode_slices.py")
    whole = slices["position"](slices["FRAMES"])
    assert whole == pytest.approx(slices["TRAVEL"])
    quarter = slices["position"](1.5) - slices["TRAVEL"] * 1.5 / slices["FRAMES"]
    assert quarter == pytest.approx(slices["WOBBLE"])
    first, second = islice(slices["clip"](build_sources([], None, None, 64)), 2)
    assert first.shape == (192, 128, 3)
    top, bottom, _, _ = changed(first, second)
    assert bottom - top > 60


def test_the_rectangle_turns_and_moves() -> None:
    frames = load("earlier_version.py")["turning"]()
    assert len(frames) == 24
    assert {frame.shape for frame in frames} == {(192, 192, 3)}
    # At rest it reaches from 96 - 40 to 96 + 40, and from 96 - 52 to 96 + 52.
    top, bottom, left, right = changed(frames[0], frames[-1])
    turned = 52 * np.sin(np.radians(8)) + 40 * np.cos(np.radians(8))
    assert top == pytest.approx(96 - turned - 6, abs=3)
    assert bottom == pytest.approx(96 + 40, abs=3)
    assert left == pytest.approx(96 - 52, abs=3)
    assert right == pytest.approx(96 + 52 * np.cos(np.radians(8)) + 40 * 0.139 + 12, abs=3)


def test_each_checkout_runs_its_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[list[str], str]] = []

    def run(command: list[str], *, env: dict[str, str], check: bool) -> None:
        ran.append((command, env["PYTHONPATH"]))

    script = load("earlier_version.py")
    monkeypatch.setattr(subprocess, "run", run)
    checkouts = (tmp_path, script["HERE"])
    outputs = {script["magnified"](tmp_path / "a.mp4", checkout) for checkout in checkouts}
    assert len(outputs) == 2
    assert [path for _, path in ran] == [str(tmp_path), str(script["HERE"])]
    assert all("-P" in command for command, _ in ran)  # the current folder's code doesn't run
