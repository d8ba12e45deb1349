"""Weights files that are damaged, another network's, or traps; layouts of other times."""

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from magkit_vision.files import fill
from safetensors.torch import save_file
from torch import nn

from magkit import MagkitError
from magkit.toolkit import read_weights


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_safetensors_file_that_begins_as_a_pickle_does(tmp_path: Path) -> None:
    path, begun = tmp_path / "weights.safetensors", set()
    for length in range(1, 257):
        save_file({"w" * length: torch.ones(1)}, path)
        begun.add(path.read_bytes()[:1])
        assert torch.equal(read_weights(path).tensors["w" * length], torch.ones(1))
    assert b"\x80" in begun


@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("nest", [None, "state_dict", "model"])
def test_every_form_of_file(form: str, nest: str | None, model: nn.Module, tmp_path: Path) -> None:
    tensors = {f"module.{key}": value for key, value in state(model).items()}
    path = tmp_path / "weights"
    if form == "safetensors":
        save_file(tensors, path)
    else:
        content: Any = {nest: tensors, "best_prec1": 91.0} if nest else tensors
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    fill(other, read_weights(path).tensors, path, "mine")
    assert same(other, model)


def test_counters_may_be_missing(model: nn.Module) -> None:
    given = {k: v for k, v in state(model).items() if "num_batches" not in k}
    fill(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), given, Path("w"), "mine")


class Trap:
    """Touches a file when it is unpickled by somebody careless."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["pickle", "zip", "legacy"])
def test_a_pickle_runs_no_code(form: str, tmp_path: Path) -> None:
    path, sprung = tmp_path / "weights.pth", tmp_path / "sprung"
    if form == "pickle":
        path.write_bytes(pickle.dumps(Trap(sprung)))
    else:
        torch.save({"w": Trap(sprung)}, path, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(MagkitError, match="could run code") as refused:
        read_weights(path)
    assert str(path) in refused.value.message
    assert not sprung.exists()


@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
@pytest.mark.parametrize("part", [0, 1, 0.02, 0.5, 0.99])
def test_a_file_that_was_cut(form: str, part: float, model: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    if form == "safetensors":
        save_file(state(model), path)
    else:
        torch.save(state(model), path, _use_new_zipfile_serialization=form == "zip")
    whole = path.read_bytes()
    path.write_bytes(whole[: part if isinstance(part, int) else int(len(whole) * part)])
    with pytest.raises(MagkitError) as refused:
        read_weights(path)
    assert str(path) in refused.value.message


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(MagkitError, match="can't be read: No such file"):
        read_weights(tmp_path / "missing")
    with pytest.raises(MagkitError, match="can't be read"):
        read_weights(tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({}, "holds no state_dict"),
        ([1, 2], "holds no state_dict"),
        ({"w": torch.ones(2), "epoch": 3}, "'epoch' is not a tensor"),
        ({"w": torch.tensor([1.0, torch.nan])}, "non-finite values, in w"),
        ({"state_dict": {}}, "holds no state_dict"),
    ],
)
def test_files_of_something_else(content: object, told: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(content, path)
    with pytest.raises(MagkitError, match=told):
        read_weights(path)


def test_tensors_of_another_network(model: nn.Module) -> None:
    whole, path = state(model), Path("w.pth")
    for given, told in (
        ({**whole, "0.weight": torch.zeros(5, 3, 3, 3)}, "0.weight is 5x3x3x3, not 4x3x3x3"),
        ({**whole, "0.bias": torch.tensor(0.0)}, "0.bias is a number, not 4"),
        ({k: v for k, v in whole.items() if k != "1.running_var"}, r"1 of its .* \(1.running_var"),
        ({**whole, "2.weight": torch.zeros(1)}, r"1 unknown tensors \(2.weight\)"),
    ):
        with pytest.raises(MagkitError, match=f"w.pth does not fit mine: .*{told}"):
            fill(model, given, path, "mine")


def test_detectors_of_the_time_before_their_layers_were_renamed(
    build_tiny: Callable[..., Any],
) -> None:
    model, fresh = (build_tiny("retinanet", 3) for _ in range(2))
    for parameter in fresh.parameters():
        nn.init.zeros_(parameter)
    # The activations between the convolutions were layers of their own.
    old = {
        re.sub(r"\.conv\.(\d)\.0\.", lambda found: f".conv.{2 * int(found[1])}.", key): value
        for key, value in state(model).items()
    }
    assert set(old) != set(model.state_dict())
    fill(fresh, old, Path("w"), "retinanet")
    assert same(fresh, model)


def test_a_wrong_shape_under_an_old_name(build_tiny: Callable[..., Any]) -> None:
    model = build_tiny("retinanet", 3)
    given = state(model)
    given["head.regression_head.conv.0.weight"] = torch.zeros(1)
    del given["head.regression_head.conv.0.0.weight"]
    with pytest.raises(
        MagkitError, match=r"size mismatch for head.regression_head.conv.0.0.weight"
    ):
        fill(model, given, Path("w"), "retinanet")


def test_densenets_of_the_time_before_names_held_no_dots() -> None:
    from torchvision.models import DenseNet

    model, fresh = (DenseNet(4, (1, 1), 4, 1, num_classes=3) for _ in range(2))
    old = {
        key.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value
        for key, value in state(model).items()
    }
    assert set(old) != set(model.state_dict())
    fill(fresh, old, Path("w"), "densenet")
    assert same(fresh, model)
