"""`magkit evaluate magnifier` and `clip` as they are run."""

import json
import math
import runpy
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from magkit.cli import run
from magkit.evaluate import clips, coded
from magkit.evaluate import magnifier as measured
from magkit.evaluate.cases import Case
from magkit.evaluate.magnifier import Score, with_noise

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def weights(tmp_path: Path) -> str:
    """A file of a small, untrained magnet-fast."""
    from dataclasses import asdict

    from magkit.magnify.fast import MagnetFast
    from magkit.magnify.fast_spec import FastConfig
    from magkit.magnify.load import save_weights

    config = FastConfig(stem=8, width=8, guide=8, hidden=8)
    torch.manual_seed(0)
    metadata = {"magnifier": "magnet-fast", "config": json.dumps(asdict(config))}
    save_weights(tmp_path / "small.safetensors", MagnetFast(config), metadata)
    return str(tmp_path / "small.safetensors")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """Real magnifications, but scores by formula: measuring is tested where it is done."""
    asked: list[Case] = []

    def scores(predict: Any, judged: Iterable[Case], *_: object) -> Iterator[Score]:
        for n, case in enumerate(judged):
            asked.append(case)
            if n == 0:
                frames = torch.rand(1, 3, 64, 64)
                assert predict(frames, frames, case.factor).shape == frames.shape
            yield Score(
                displacement=case.displacement,
                factor=case.factor,
                gain=0.9 if case.factor > 5 else 0.5,
                ssim=0.97,
                region_ssim=0.86,
                input_ssim=0.93,
                input_region_ssim=0.63,
            )

    monkeypatch.setattr(measured, "evaluate", scores)
    monkeypatch.setattr(clips, "STILL_FRAMES", 5)
    monkeypatch.setattr(clips, "measure_still", partial(clips.measure_still, clips=1))
    return asked


def arguments(weights: str) -> list[str]:
    return ["evaluate", "magnifier", "--weights", weights, "--procedural", "4", "--threads", "1"]


def test_a_table_and_a_file(
    weights: str, quick: list[Case], tmp_path: Path, capsys: Captured
) -> None:
    file = tmp_path / "scores.json"
    assert run([*arguments(weights), "--repeats", "2", "-o", str(file)]) == 0
    shown = capsys.readouterr()
    for text in ("0.05 px", "x50", "0.900", "0.970", "0.860", "0.930", "0.630"):
        assert text in shown.out
    assert str(file) in shown.err
    result = json.loads(file.read_text())
    assert len(quick) == len(result["cases"]) == 34
    assert result["all"]["gain"] == 0.9
    assert [row["factor"] for row in result["factor"]] == [5, 10, 20, 50]
    assert run([*arguments(weights), "-o", str(file)]) == 1
    assert "exists" in capsys.readouterr().err
    assert json.loads(file.read_text()) == result


def test_json_and_noise(weights: str, quick: list[Case], capsys: Captured) -> None:
    assert run([*arguments(weights), "--json", "--noise", "0.01", "--repeats", "1"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["noise"] == 0.01
    assert result["magnifier"] == "magnet-fast"
    assert len(quick) == 17
    assert result["protocol"] == "gain"
    assert result["still"]["input_flicker"] > 0
    assert result["against"] == result["behind"] == []


def test_noise_is_a_function_of_the_seed() -> None:
    a, b = torch.full((1, 3, 64, 64), 0.5), torch.full((1, 3, 64, 64), 0.25)
    seen: list[torch.Tensor] = []

    def predict(a: torch.Tensor, b: torch.Tensor, factor: float) -> torch.Tensor:
        seen.extend([a, b])
        return b

    for seed in (0, 0, 1):
        with_noise(predict, 0.02, seed)(a, b, 5.0)
    assert torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], seen[4])
    assert seen[0].mean().item() == pytest.approx(0.5, abs=0.001)
    assert (seen[1] - b).std().item() == pytest.approx(0.02, rel=0.05)
    levels = seen[0] * 255
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)


def test_what_does_not_exist(weights: str, capsys: Captured) -> None:
    assert run(["evaluate", "magnifier", "--magnifier", "odd"]) == 2
    assert run(["evaluate", "magnifier", "--weights", "absent.safetensors"]) == 1
    assert run([*arguments(weights), "--images", "absent"]) == 1
    assert "absent" in capsys.readouterr().err


def test_several_in_one_table_and_one_picture(
    weights: str, quick: list[Case], tmp_path: Path, capsys: Captured
) -> None:
    file, plot = tmp_path / "scores.json", tmp_path / "curves.svg"
    others = ["--against", "linear", "--against", f"magnet-fast={weights}"]
    given = [*arguments(weights), *others, "--repeats", "1", "-o", str(file), "--plot", str(plot)]
    assert run(given) == 0
    shown = capsys.readouterr().out
    for text in ("linear", "magnet-fast=small.safetensors", "input", "0.900*", "not ahead"):
        assert text in shown
    assert shown.count("noise gain") == 3
    result = json.loads(file.read_text())
    assert [other["name"] for other in result["against"]] == [
        "linear",
        "magnet-fast=small.safetensors",
    ]
    # All scored alike, none is ahead of another, but all are ahead of the input.
    assert {cell["than"] for cell in result["behind"]} == {
        other["name"] for other in result["against"]
    }
    assert "<svg" in plot.read_text(encoding="utf-8")
    assert run(given) == 1
    assert run([*arguments(weights), "--plot", "curves.jpg"]) == 2
    assert run([*arguments(weights), "--against", "magnet-fast"]) == 2


def test_a_plot_needs_matplotlib(
    weights: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert run([*arguments(weights), "--plot", "curves.png"]) == 1
    assert "magkit[plot]" in capsys.readouterr().err


@pytest.mark.parametrize(("protocol", "count"), [("subpixel", 15), ("noise", 21)])
def test_published_protocols(
    weights: str, quick: list[Case], protocol: str, count: int, capsys: Captured
) -> None:
    assert run([*arguments(weights), "--protocol", protocol, "--repeats", "1", "--json"]) == 0
    assert len(quick) == count
    assert json.loads(capsys.readouterr().out)["protocol"] == protocol


@pytest.mark.parametrize("port", ["plain", "cgst", "postech"])
def test_weights_of_public_layouts(
    port: str, quick: list[Case], tmp_path: Path, capsys: Captured
) -> None:
    known = runpy.run_path(str(Path(__file__).parents[1] / "magnify" / "test_layouts.py"))
    state = known["draw"](known["layers"](known[f"{port}_names"](), port != "plain"))
    file = tmp_path / f"{port}.pth"
    torch.save({"state_dict": {f"module.{key}": x.float() for key, x in state.items()}}, file)
    given = ["evaluate", "magnifier", "--magnifier", "magnet", "--weights", str(file)]
    assert run([*given, "--procedural", "4", "--repeats", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["still"]["noise_gain"] >= 0


def test_a_pickled_module_is_refused(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "module.pt"
    torch.save(torch.nn.Conv2d(1, 1, 1), file)
    given = ["evaluate", "magnifier", "--magnifier", "magnet", "--weights", str(file)]
    assert run(given) == 1
    assert "state_dict" in capsys.readouterr().err


def swinging(tmp_path: Path) -> Path:
    """Dark bars over a light ground, that swing by half a pixel at 3 Hz, 30 frames a second."""
    from fractions import Fraction

    from magkit.video import plain_info, write_video

    def frames() -> Iterator[Any]:
        x = np.arange(64)
        for index in range(40):
            shift = 0.5 * math.sin(2 * math.pi * 3 * index / 30)
            row = 128 + 90 * np.exp(-(((x - 30 - shift) / 3) ** 2))
            yield np.tile(row.round().astype(np.uint8)[None, :, None], (48, 1, 3))

    path = tmp_path / "swing"
    write_video(path, frames(), plain_info(64, 48, Fraction(30), 40))
    return path


@pytest.mark.parametrize("place", [[], ["--at", "16,8,32,32"]])
def test_a_clip_before_and_after(tmp_path: Path, capsys: Captured, place: list[str]) -> None:
    given = ["evaluate", "clip", str(swinging(tmp_path)), "--magnifier", "phase", "--factor", "4"]
    assert run([*given, *place, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["tone_before"] == pytest.approx(3, abs=0.05)
    assert abs(result["tone_error"]) < 0.1
    assert result["amplitude_before"] == pytest.approx(0.5, rel=0.05)
    assert result["growth"] == pytest.approx(4, rel=0.15)
    assert result["axis"] == "x"


def test_a_clip_is_shown_and_wrong_places_are_refused(tmp_path: Path, capsys: Captured) -> None:
    clip, file = str(swinging(tmp_path)), tmp_path / "clip.json"
    given = ["evaluate", "clip", clip, "--magnifier", "linear", "--capture-fps", "300"]
    assert run([*given, "-o", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "30.0" in shown
    assert "grew" in shown
    assert json.loads(file.read_text())["rate"] == 300
    for wrong in ("1,2,3", "0,0,500,20", "0,0,4,4"):
        assert run([*given, "--at", wrong]) == 2
    assert run(["evaluate", "clip", "absent.mp4", "--magnifier", "linear"]) == 1


def test_a_whole_clip(weights: str, tmp_path: Path, capsys: Captured) -> None:
    clip, file = str(swinging(tmp_path)), tmp_path / "clip.json"
    given = ["evaluate", "clip", clip, "--whole", "--factor", "4", "--weights", weights]
    assert run([*given, "--mode", "dynamic", "-o", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "texture ratio" in shown
    assert "folds" in shown
    result = json.loads(file.read_text())
    assert result["mode"] == "dynamic"
    assert len(result["frames"]) == 40
    assert result["frames"][0] == {"texture": 1, "folds": 0}
    assert result["texture"]["min"] <= result["texture"]["median"] <= result["texture"]["max"]
    assert 0 <= result["folds"]["mean"] <= result["folds"]["max"] <= 1
    assert run([*given, "--at", "8,8,16,16"]) == 2
    assert run([*given[:-2], "--magnifier", "phase", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["folds"] is None


def test_figures_of_a_protocol(
    weights: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    asked: list[float] = []

    def scores(model: Any, judged: Iterable[Any], *_: Any, noise: float, **__: Any) -> Any:
        asked.append(noise)
        for case in judged:
            found = {"left": 0.5, "of_left": 1.2, "trembling": 2.34}
            words = {"coding": case.coding, "cell": f"here, {case.coding}"}
            score = dict.fromkeys(("ssim", "region_ssim", "input_ssim", "input_region_ssim"), 0.9)
            yield Score(displacement=0.1, factor=15, gain=0.6, **score, more={**found, **words})

    monkeypatch.setattr(coded, "evaluate_coded", scores)
    monkeypatch.setattr(clips, "STILL_FRAMES", 5)
    given = [*arguments(weights), "--protocol", "coded", "--repeats", "1", "--plot"]
    assert run([*given, str(tmp_path / "one.svg"), "-o", str(tmp_path / "one.json")]) == 0
    shown = capsys.readouterr().out
    assert "trembling" in shown
    assert "2.34" in shown
    result = json.loads((tmp_path / "one.json").read_text())
    assert result["noise"] == asked[0] == 0.008
    assert [row["coding"] for row in result["coding"]][:2] == ["CRF 18", "CRF 18, band"]
    assert result["all"]["of_left"] == 1.2
    both = [*given, str(tmp_path / "two.svg"), "--against", "linear", "--noise", "0"]
    assert run(both) == 0
    assert asked[1:] == [0, 0]
    assert "2.34" in capsys.readouterr().out
