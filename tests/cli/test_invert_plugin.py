"""`magkit invert` with a target that a plugin brings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from magkit.cli import run
from magkit.plugins import registry

PLUGIN = """
    from dataclasses import dataclass
    from magkit import TargetSpec, hookimpl

    @dataclass(frozen=True)
    class Config:
        pass

    class Forgetful:
        classes, stride = ("bear",), 1

        def statistics(self):
            return []

    def build(config, weights, device):
        return Forgetful()

    @hookimpl
    def magkit_targets():
        return [TargetSpec(name="forgetful", summary="Mine.", config=Config, build=build)]
"""


def test_a_plugin_s_target_without_statistics(
    here: Path, site: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("walk").mkdir()
    Image.fromarray(np.tri(64, 96, dtype=np.uint8)).save("walk/0.png")
    site.install("magkit-forgetful", PLUGIN)
    registry.cache_clear()
    try:
        target = ["--target", "forgetful", "--verifier", "none", "--device", "cpu"]
        assert run(["invert", "--masks", "walk", *target, "-o", "run"]) == 1
    finally:
        registry.cache_clear()
    shown = capsys.readouterr().err
    assert "'forgetful' remembers no statistics" in shown
    assert "hint: --bn 0" in shown
    assert not Path("run").exists()
