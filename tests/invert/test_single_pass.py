"""Each mask is decoded once and each network built once over a whole job and its report."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magkit.cli import run
from magkit.invert import masks
from magkit.invert.job import plan_clips
from magkit.invert.targets import segmenter


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts decoded masks and built networks by the names of their files."""
    found: Counter[str] = Counter()
    decode, build = masks.read_labels, segmenter.load_segmenter

    def decoded(path: Path) -> masks.Labels:
        found[path.name] += 1
        return decode(path)

    def built(name: str, network: Any, path: Path, device: Any) -> segmenter.SegmenterTarget:
        found[path.name] += 1
        return build(name, network, path, device)

    monkeypatch.setattr(masks, "read_labels", decoded)
    monkeypatch.setattr(segmenter, "load_segmenter", built)
    monkeypatch.setattr("magkit.invert.judge.CONTROLS", 1)
    return found


def test_masks_are_decoded_once_and_networks_built_once(
    counts: Counter[str], moving: Path, weights: dict[str, Path], tmp_path: Path
) -> None:
    networks = ["--target", "segmenter", "--weights", str(weights["target"])]
    networks += ["--verifier", "segmenter", "--verifier-weights", str(weights["verifier"])]
    few = ["--iterations", "2", "--size", "64", "--frames", "0-2", "--threads", "1"]
    few += ["--set", "keyframe_steps=1", "--set", "warm_steps=1", "--set", "keyframe=2"]
    job = ["invert", "--video", "bear", "--davis", str(moving), *networks, *few]
    assert run([*job, "--device", "cpu", "-o", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "report.json").is_file()
    once = [f"{n:05d}.png" for n in range(3)] + ["target.safetensors", "verifier.safetensors"]
    assert counts == dict.fromkeys(once, 1)


def test_variants_of_one_size_share_decoded_masks(
    counts: Counter[str], small: Callable[..., Any]
) -> None:
    plans = plan_clips(small(sweep={"bn": ["1", "2"]}, frames="0-1"))
    assert len(plans) == 2
    assert all(plan.masks(index).any() for plan in plans for index in range(2))
    assert counts == {"00000.png": 1, "00001.png": 1}
