"""State dicts: what is written loads again, by magkit and by torch alone."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from magkit.errors import MagkitError
from magkit.export.networks import open_encoder, open_network
from magkit.export.state import export_safetensors, export_torch
from magkit.magnify.encoder import read_info
from magkit.magnify.load import load_magnifier


def test_safetensors_of_an_encoder(encoder_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy.safetensors"
    export_safetensors(open_network(str(encoder_path)), path)
    assert path.read_bytes() == encoder_path.read_bytes()


def test_safetensors_of_a_magnifier_and_of_its_encoder(weights_path: Path, tmp_path: Path) -> None:
    whole, part = tmp_path / "whole.safetensors", tmp_path / "part.safetensors"
    export_safetensors(open_network(str(weights_path)), whole)
    wanted, found = load_file(weights_path), load_file(whole)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    load_magnifier("magnet-fast", whole)
    export_safetensors(open_encoder(str(weights_path)), part)
    assert read_info(part).magnifier == "magnet-fast"
    assert open_encoder(str(part)).info.branches == ("motion", "texture")


def test_torch_loads_plain_tensors(weights_path: Path, tmp_path: Path) -> None:
    one, other = tmp_path / "one.pt", tmp_path / "other.pt"
    for path in (one, other):
        export_torch(open_network(str(weights_path)), path)
    assert one.read_bytes() == other.read_bytes()
    state, wanted = torch.load(one, weights_only=True), load_file(weights_path)
    assert type(state) is dict
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)
    load_magnifier("magnet-fast", one, ["stem=4", "width=8", "guide=4", "hidden=4"])
    with pytest.raises(MagkitError, match="exists"):
        export_torch(open_network(str(weights_path)), one)


def test_weights_that_are_not_finite(encoder_path: Path, tmp_path: Path) -> None:
    found = open_network(str(encoder_path))
    next(iter(found.network.parameters())).data[0] = float("nan")
    for write, name in ((export_torch, "x.pt"), (export_safetensors, "x.safetensors")):
        with pytest.raises(MagkitError, match="non-finite"):
            write(found, tmp_path / name)
    assert not list(tmp_path.iterdir())
