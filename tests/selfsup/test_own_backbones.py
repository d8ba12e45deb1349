"""Encoders that users name by a reference: what they make, and how wrong ones are refused."""

import copy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from magkit.errors import UsageError
from magkit.selfsup.backbones import build_backbone
from magkit.selfsup.model import build_network

CODE = """
import torch
from torch import nn

def small():
    return nn.Sequential(nn.Conv2d(3, 5, 3, 2, 1), nn.ReLU(), nn.Conv2d(5, 6, 3, 4, 1))

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.near, self.far = nn.Conv2d(3, 4, 2, 2), nn.Conv2d(3, 8, 8, 8)
    def forward(self, frames):
        return {"near": self.near(frames), "far": self.far(frames)}

class Made:
    class_method = staticmethod(small)

number = 3
def no_module(): return 3
def needs(width): return small()
def fails(): raise RuntimeError("no weights here")
def flat(): return nn.Sequential(small(), nn.Flatten())
def cut(): return nn.Conv2d(3, 4, 5, 3)
def grey(): return nn.Conv2d(1, 4, 1)
class Mixed(nn.Module):
    def forward(self, frames): return {"a": frames, "b": [frames]}
class Named(nn.Module):
    def forward(self, frames): return {"a.b": frames}
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module `own_nets` in the working directory."""
    (tmp_path / "own_nets.py").write_text(CODE)
    (tmp_path / "broken_nets.py").write_text("import no_such_package")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in ("own_nets", "broken_nets"):
        sys.modules.pop(name, None)


def test_a_single_map_is_called_features() -> None:
    built = build_backbone("own_nets:small", 64)
    assert built.strides == {"features": 8}
    frames = torch.rand(2, 3, 48, 32, generator=torch.Generator().manual_seed(0))
    maps = built.encoder(frames)
    assert maps.keys() == {"features"}
    assert list(built.encoder.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    plain = nn.Sequential(*built.encoder.children())
    assert torch.equal(maps["features"], plain(frames))
    assert torch.equal(copy.deepcopy(built.encoder)(frames)["features"], maps["features"])


def test_several_maps_are_branches() -> None:
    network = build_network("magnet-fast", (), "own_nets:Two", "both", 64, seed=0)
    assert network.branches == ("near", "far")
    found = {name: (info.channels, info.stride, info.centre) for name, info in network.maps.items()}
    assert found == {"near": (4, 2, 1.0), "far": (8, 8, 4.0)}
    assert build_network("magnet-fast", (), "own_nets:Two", "far", 64, seed=0).branches == ("far",)


def test_an_attribute_of_a_class() -> None:
    assert build_backbone("own_nets:Made.class_method").strides == {"features": 8}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_nets:small", "there is no module 'no_nets'"),
        ("own_nets:large", "there is no 'large' in it"),
        ("own_nets:number", "is a int, which can't be called"),
        ("broken_nets:small", "No module named 'no_such_package'"),
        ("own_nets:no_module", r"returned a int, not a torch\.nn\.Module"),
        ("own_nets:needs", "missing 1 required positional argument"),
        ("own_nets:fails", "can't be made: RuntimeError: no weights here"),
        ("own_nets:flat", r"returned a tensor of shape \(1, 384\), not a map"),
        ("own_nets:cut", "20 x 20 cells of a frame of 64 x 64 pixels"),
        ("own_nets:grey", "can't encode a frame of 64 x 64 pixels: RuntimeError"),
        ("own_nets:Mixed", "a dict of a list, not a map"),
        ("own_nets:Named", "names a map 'a.b'"),
    ],
)
def test_what_is_refused(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_backbone(name, 64)
