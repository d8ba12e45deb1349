"""Networks by what users call them."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from magkit.errors import MagkitError, UsageError
from magkit.export.networks import (
    TrainedEncoder,
    TrainedMagnifier,
    open_encoder,
    open_network,
    result_file,
)


def finished_run(folder: Path, kind: str, result: Path | None) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"kind": kind, "format": 1, "config": {}}))
    if result is not None:
        shutil.copy(result, folder / "model.safetensors")
    return folder


def test_an_encoder_by_file_and_by_run(encoder_path: Path, tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", "pretrain", encoder_path)
    wanted = load_file(encoder_path)
    for place in (encoder_path, run):
        found = open_encoder(str(place))
        assert (found.info.method, found.info.steps) == ("byol", 3)
        assert found.strides == {"texture": 4, "motion": 4}
        assert not found.network.training
        state = found.network.state_dict()
        assert all(torch.equal(state[name], value) for name, value in wanted.items())
        assert isinstance(open_network(str(place)), TrainedEncoder)


def test_the_encoder_of_a_magnifier(weights_path: Path, tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", "finetune", weights_path)
    whole = load_file(weights_path)
    for place in (weights_path, run):
        state = open_encoder(str(place)).network.state_dict()
        assert all(torch.equal(whole[name], value) for name, value in state.items())
        found = open_network(str(place))
        assert isinstance(found, TrainedMagnifier)
        assert found.config.width == 8


def test_weights_that_ship() -> None:
    assert open_encoder("magnet-fast").info.magnifier == "magnet-fast"


@pytest.mark.parametrize(
    ("kind", "words"), [("invert", "'invert'"), ("pretrain", "isn't finished")]
)
def test_runs_that_are_refused(tmp_path: Path, kind: str, words: str) -> None:
    finished_run(tmp_path / "run", kind, None)
    with pytest.raises(MagkitError, match=words):
        result_file(str(tmp_path / "run"))


def test_what_is_not_there(tmp_path: Path, weights_path: Path) -> None:
    with pytest.raises(MagkitError, match="none of that name ships"):
        open_network("magnet-slow")
    (tmp_path / "cut.safetensors").write_bytes(weights_path.read_bytes()[:500])
    with pytest.raises(MagkitError, match="not a weights file"):
        open_network(str(tmp_path / "cut.safetensors"))
    with pytest.raises(UsageError, match="no encoder of a backbone"):
        open_network(str(weights_path), backbone="some:thing")
