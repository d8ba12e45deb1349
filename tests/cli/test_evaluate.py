"""`magkit evaluate magnifier` as it is run."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from magkit.cli import run
from magkit.evaluate import magnifier as measured
from magkit.evaluate.cases import Case
from magkit.evaluate.magnifier import Score, with_noise

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def weights(tmp_path: Path) -> str:
    """A file of a small, untrained magnet-fast."""
    from dataclasses import asdict

    from magkit.magnify.load import save_weights
    from magkit.magnify.networks.fast import MagnetFast
    from magkit.magnify.networks.fast_spec import FastConfig

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
