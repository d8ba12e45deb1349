"""Quantised copies of the network: near to it if calibrated on pictures like those shown."""

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

from magkit.invert.targets.load import TargetChoice, build_target
from magkit.synth.procedural import ProceduralPictures
from magkit.synth.sources import cover

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def calibration() -> dict[str, Any]:
    return runpy.run_path(str(BENCHMARKS / "inversion_calibration.py"))


@pytest.mark.filterwarnings("ignore")
def test_calibration_sets_the_scales(calibration: dict[str, Any]) -> None:
    source = ProceduralPictures(5)
    pictures = [cover(source.picture(n).float() / 255, 64, 96) for n in range(5)]
    target: Any = build_target(TargetChoice("maskrcnn-small"), torch.device("cpu"))
    before = {name: value.clone() for name, value in target.model.state_dict().items()}
    shown = pictures[4][None]
    true = target.model.backbone(shown)["0"]
    error = {}
    for name, given in (
        ("alike", pictures[:4]),
        ("grey", [torch.full_like(p, 0.5) for p in pictures[:4]]),
    ):
        made = calibration["quantised"](target, given)
        found = made.model.backbone(shown)["0"]
        error[name] = float((found - true).norm() / true.norm())
        assert found.unique().numel() <= 256, "of 8 bits"
    made = calibration["quantised"](target, pictures[:4], bits=4)
    coarse = made.model.backbone(shown)["0"]
    assert coarse.unique().numel() <= 16
    assert error["alike"] < 0.15 < float((coarse - true).norm() / true.norm())
    assert error["grey"] > 1.3 * error["alike"]
    after = target.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
