"""Weights in and out, and what is said of files that are something else."""

import json
import pickle
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from magkit.errors import MagkitError, UsageError
from magkit.magnify import fast_spec, load, magnet_spec
from magkit.magnify.fast import MagnetFast
from magkit.magnify.load import find_weights, load_magnifier, save_weights
from magkit.magnify.magnet import MagNet
from magkit.runtime.weights import read_weights
from magkit.specs import MagnifierSpec

SMALL = fast_spec.FastConfig(stem=4, width=8, guide=4, hidden=4)
METADATA = {"magnifier": "magnet-fast", "config": json.dumps(asdict(SMALL))}


@pytest.fixture
def small() -> nn.Module:
    torch.manual_seed(0)
    return MagnetFast(SMALL)


@pytest.fixture
def saved(tmp_path: Path, small: nn.Module) -> Path:
    path = tmp_path / "small.safetensors"
    save_weights(path, small, METADATA)
    return path


def module(magnifier: object) -> nn.Module:
    assert isinstance(magnifier, nn.Module)
    return magnifier


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_what_was_saved_is_loaded(saved: Path, small: nn.Module) -> None:
    loaded = module(load_magnifier("magnet-fast", saved))
    assert same(loaded, small)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_half_precision_is_half_the_size_and_comes_back_single(
    tmp_path: Path, saved: Path, small: nn.Module
) -> None:
    half = tmp_path / "half.safetensors"
    save_weights(half, small, METADATA, half=True)
    assert half.stat().st_size < 0.6 * saved.stat().st_size + 4096
    loaded = module(load_magnifier("magnet-fast", half))
    for key, value in loaded.state_dict().items():
        assert value.dtype == small.state_dict()[key].dtype
        if value.is_floating_point():
            assert torch.equal(value, small.state_dict()[key].half().float())


def test_options_go_over_what_was_stored(saved: Path) -> None:
    with pytest.raises(MagkitError, match=r"encoder\.layers\.0\.weight is 4x3x8x8, not 6x3x8x8"):
        load_magnifier("magnet-fast", saved, ["stem=6"])
    with pytest.raises(UsageError, match="no option of magnifier 'magnet-fast' is named 'stm'"):
        load_magnifier("magnet-fast", saved, ["stm=6"])


def test_an_existing_file_is_not_replaced_unasked(saved: Path, small: nn.Module) -> None:
    with pytest.raises(MagkitError, match="exists"):
        save_weights(saved, small, METADATA)
    save_weights(saved, small, METADATA, overwrite=True)


def test_weights_that_half_precision_does_not_hold(tmp_path: Path) -> None:
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, 1e6)
    with pytest.raises(MagkitError, match="not written: weight holds"):
        save_weights(tmp_path / "a.safetensors", layer, {}, half=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("nest", ["", "state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("old", [False, True], ids=["zip", "legacy"])
def test_state_dicts_of_pytorch(tmp_path: Path, nest: str, prefix: str, old: bool) -> None:
    torch.manual_seed(0)
    network = MagNet(magnet_spec.MagnetConfig())
    state: Any = {prefix + key: value for key, value in network.state_dict().items()}
    if nest:
        state = {"epoch": 3, nest: state, "optimizer_state_dict": {"step": 3}}
    path = tmp_path / "epoch.tar"
    torch.save(state, path, _use_new_zipfile_serialization=not old)
    assert same(module(load_magnifier("magnet", path)), network)


class Trap:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (Path.touch, (Path("sprung"),))  # type: ignore[return-value]


def write_cut(path: Path, write: Callable[[Any, Path], object]) -> None:
    write({"a": torch.zeros(2000)}, path)
    path.write_bytes(path.read_bytes()[:1500])


SOMETHING_ELSE: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("these are not weights"),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: write_cut(path, torch.save),
    "cut to a byte": lambda path: path.write_bytes(b"\x80"),
    "cut safetensors": lambda path: write_cut(path, save_file),
    "module": lambda path: torch.save(nn.Linear(2, 2), path),
    "trap": lambda path: torch.save(Trap(), path),
    "pickle": lambda path: path.write_bytes(pickle.dumps({"a": Trap()})),
    "list": lambda path: torch.save([torch.zeros(2)], path),
    "no tensors": lambda path: torch.save({"epoch": 3}, path),
    "nan": lambda path: save_file({"a": torch.full((2,), torch.nan)}, path),
    "other": lambda path: save_file({"a": torch.zeros(2), "b": torch.zeros(2)}, path),
}

MALFORMED = {
    "text": "is not a weights file",
    "empty": "is not a weights file",
    "cut": "is damaged|is not a weights file",
    "cut to a byte": "is damaged",
    "cut safetensors": "is not a weights file",
    "module": "pickled Python object",
    "trap": "pickled Python object",
    "pickle": "pickled Python object|is damaged",
    "list": "holds no state_dict",
    "no tensors": "'epoch' is not a tensor",
    "nan": "non-finite values, in a",
    "other": r"(\d+) of its \1 tensors are missing .*, 2 are unknown \(a\)",
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_files_that_are_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pt"
    SOMETHING_ELSE[kind](path)
    with pytest.raises(MagkitError, match=MALFORMED[kind]) as raised:
        load_magnifier("magnet-fast", path)
    assert raised.value.hint
    assert "\n" not in raised.value.message
    assert not Path("sprung").exists()


@pytest.mark.parametrize("config", ["", "{", "[1]", "null", "[" * 100_000])
def test_a_stored_configuration_that_is_none(tmp_path: Path, small: nn.Module, config: str) -> None:
    path = tmp_path / "a.safetensors"
    save_weights(path, small, {"config": config})
    with pytest.raises(MagkitError, match=r"its configuration is no"):
        load_magnifier("magnet-fast", path)


@pytest.mark.parametrize("channels", [10**15, 10**300])
def test_a_stored_configuration_that_no_memory_holds(
    tmp_path: Path, small: nn.Module, channels: int
) -> None:
    path = tmp_path / "a.safetensors"
    save_weights(path, small, {"config": f'{{"stem": {channels}}}'})
    with pytest.raises(MagkitError, match="no network can be built"):
        load_magnifier("magnet-fast", path)


def test_weights_of_another_magnifier(saved: Path) -> None:
    with pytest.raises(
        UsageError, match="of the magnifier 'magnet-fast', not of 'magnet'"
    ) as raised:
        load_magnifier("magnet", saved)
    assert raised.value.hint == "add --magnifier magnet-fast"


def test_weights_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(MagkitError, match="there is no weights file"):
        load_magnifier("magnet-fast", "nothing")
    with pytest.raises(MagkitError, match="is a folder"):
        load_magnifier("magnet-fast", tmp_path)
    with pytest.raises(MagkitError, match="no weights ship with the magnifier 'magnet'") as raised:
        load_magnifier("magnet")
    assert "--weights FILE" in raised.value.hint
    gone = MagnifierSpec(
        name="gone",
        summary="",
        config=magnet_spec.MagnetConfig,
        build=magnet_spec.SPEC.build,
        losses=magnet_spec.SPEC.losses,
        weights=tmp_path / "gone.safetensors",
    )
    with pytest.raises(MagkitError, match=r"are missing: .*gone\.safetensors"):
        find_weights(gone, None)


def test_shipped_weights_have_names(
    tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "WEIGHTS", tmp_path)
    assert find_weights(fast_spec.SPEC, "small") == saved


def test_a_magnifier_without_weights_is_ready_as_it_is_built(tmp_path: Path) -> None:
    spec = MagnifierSpec(
        name="plain", summary="", config=magnet_spec.MagnetConfig, build=magnet_spec.SPEC.build
    )
    assert find_weights(spec, None) is None


def test_metadata_comes_back(saved: Path) -> None:
    assert read_weights(saved).metadata == METADATA


def test_equal_weights_give_equal_bytes(tmp_path: Path) -> None:
    texts = {f"text {n}": str(n) for n in range(9)}
    layer = torch.nn.Linear(2, 2)
    for name in range(6):
        save_weights(tmp_path / f"{name}", layer, dict(sorted(texts.items(), reverse=name % 2 > 0)))
    assert len({(tmp_path / f"{name}").read_bytes() for name in range(6)}) == 1
    assert read_weights(tmp_path / "0").metadata == texts
