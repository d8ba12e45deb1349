"""Adaptation of small networks to small clips, by the library and by the command."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from magkit.adapt import adapt as module
from magkit.adapt.adapt import AdaptJob, adapt
from magkit.adapt.verdict import Measures
from magkit.cli import run
from magkit.errors import MagkitError, UsageError
from magkit.magnify.load import load_magnifier, save_weights
from magkit.plugins import registry
from magkit.video.info import VideoInfo
from magkit.video.write import write_video

SETTINGS = {"batch": 4, "size": 64, "save_every": 1}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A pattern that drifts, 24 frames."""
    rng = np.random.default_rng(0)
    picture = np.kron(rng.integers(0, 255, (20, 24, 3)), np.ones((6, 6, 1))).astype(np.uint8)
    frames = [picture[:96, n : n + 112] for n in range(24)]
    path = tmp_path / "clip.mp4"
    write_video(path, iter(frames), VideoInfo(width=112, height=96, rate=Fraction(24)))
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Random weights of a small `magnet-fast`."""
    spec = registry().magnifier("magnet-fast")
    sizes = {"stem": 8, "width": 8, "guide": 8, "hidden": 8}
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    metadata = {"magnifier": "magnet-fast", "config": json.dumps(sizes)}
    save_weights(path, spec.build(spec.config(**sizes)), metadata)  # type: ignore[arg-type]
    return path


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has measurements return at once."""
    monkeypatch.setattr(module, "measure", lambda *_: Measures([[1.0]], [[1.0]]))


def job(clip: Path, small: Path, steps: int = 3) -> AdaptJob:
    return AdaptJob(clips=[clip], steps=steps, weights=small, settings=SETTINGS)


class Killed(Exception):  # noqa: N818
    """Ends a training between two steps."""


@pytest.mark.usefixtures("measured")
def test_an_interrupted_adaptation_ends_with_the_same_bytes(
    clip: Path, small: Path, tmp_path: Path
) -> None:
    def killed(step: int, _: int | None) -> None:
        if step == 2:
            raise Killed

    whole = adapt(job(clip, small), output=tmp_path / "whole", workers=0).training
    folder = tmp_path / "killed"
    with pytest.raises(Killed):
        adapt(job(clip, small), output=folder, workers=0, progress=killed)
    resumed = adapt(job(clip, small), output=folder, workers=0).training
    assert resumed.continued == 2
    assert whole.run.model.read_bytes() == resumed.run.model.read_bytes()
    assert json.loads((folder / "verdict.json").read_text())["judgement"] == "equal"


@pytest.mark.usefixtures("measured")
def test_an_adaptation_interrupted_while_it_is_judged_can_be_resumed(
    clip: Path, small: Path, tmp_path: Path
) -> None:
    def killed(_: int, __: int | None) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "measure", lambda *more: more[-1](1, 1))
        with pytest.raises(Killed):
            adapt(job(clip, small), output=tmp_path / "run", workers=0, judging=killed)
    trained = (tmp_path / "run" / "model.safetensors").read_bytes()
    resumed = adapt(job(clip, small), output=tmp_path / "run", workers=0)
    assert resumed.training.continued == resumed.training.steps
    assert resumed.training.run.model.read_bytes() == trained
    assert resumed.verdict.judgement == "equal"
    with pytest.raises(MagkitError, match="finished run"):
        adapt(job(clip, small), output=tmp_path / "run", workers=0)


@pytest.mark.usefixtures("measured")
def test_an_adaptation_is_trained_further_and_judged_again(
    clip: Path, small: Path, tmp_path: Path
) -> None:
    def killed(step: int, _: int | None) -> None:
        if step == 4:
            raise Killed

    folder = tmp_path / "run"
    adapt(job(clip, small), output=folder, workers=0)
    with pytest.raises(Killed):
        adapt(job(clip, small, 5), output=folder, workers=0, progress=killed)
    assert not (folder / "verdict.json").exists()
    adapt(job(clip, small, 5), output=folder, workers=0)
    assert (folder / "verdict.json").exists()


@pytest.mark.usefixtures("measured")
def test_only_what_measures_displacement_changes(clip: Path, small: Path, tmp_path: Path) -> None:
    found = adapt(job(clip, small, 2), output=tmp_path / "run", workers=0).training
    before, after = (load_magnifier(weights=path).state_dict() for path in (small, found.run.model))  # type: ignore[attr-defined]
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"measure"}


def test_what_is_no_clip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no clip is there"):
        adapt(AdaptJob(clips=[tmp_path], steps=1), workers=0)


def test_a_method_of_encoders_is_refused(clip: Path) -> None:
    with pytest.raises(UsageError, match="trains an encoder"):
        adapt(AdaptJob(clips=[clip], steps=1, method="byol"), workers=0)


def test_a_cut_clip_is_refused(clip: Path, tmp_path: Path) -> None:
    clip.write_bytes(clip.read_bytes()[:100])
    with pytest.raises(MagkitError):
        adapt(AdaptJob(clips=[clip], steps=1), output=tmp_path / "run", workers=0)


@pytest.mark.usefixtures("measured")
def test_the_command(
    clip: Path, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "mine.safetensors"
    settings = [part for k, v in SETTINGS.items() for part in ("--train", f"{k}={v}")]
    command = ["adapt", str(clip), "-o", str(weights), "--weights", str(small), "--steps", "1"]
    command += [*settings, "--workers", "0", "--run", str(tmp_path / "run")]
    assert run([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["weights"] == str(weights)
    assert report["verdict"]["judgement"] == "equal"
    assert weights.read_bytes() == (tmp_path / "run" / "model.safetensors").read_bytes()
    assert run(command) == 1
    assert "exists" in capsys.readouterr().err
