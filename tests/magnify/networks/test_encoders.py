"""Encoders beside their networks: the same names, and what they see is what the networks see."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from magkit.magnify import fast_spec, magnet_spec
from magkit.magnify.encoder import grouped
from magkit.specs import MagnifierSpec

CONFIGS: list[tuple[MagnifierSpec[Any], Any]] = [
    (magnet_spec.SPEC, magnet_spec.MagnetConfig()),
    (magnet_spec.SPEC, magnet_spec.MagnetConfig(signed=False, bias=True)),
    (fast_spec.SPEC, fast_spec.FastConfig(stem=8, width=8)),
]


@pytest.mark.parametrize(("spec", "config"), CONFIGS)
def test_an_encoder_sees_what_its_network_sees(spec: MagnifierSpec[Any], config: Any) -> None:
    assert spec.encoder is not None
    network, encoder = spec.build(config), spec.encoder.build(config)
    assert isinstance(network, nn.Module)
    whole = network.state_dict()
    part = {key: whole[key] for key in encoder.state_dict()}
    assert part.keys() == {key for key in whole if key.startswith("encoder.")}
    encoder.load_state_dict(part)
    frames = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    features, maps = network.encode(frames), encoder(frames)
    assert maps.keys() == spec.encoder.strides.keys()
    assert torch.equal(maps["texture"], features.texture)
    assert torch.equal(maps["motion"], features.shape if spec.name == "magnet" else features.motion)
    for branch, stride in spec.encoder.strides.items():
        assert maps[branch].shape[2:] == (64 // stride, 96 // stride)


def test_sizes_of_magnets_groups() -> None:
    """154,416 parameters: trunk 62,256, and 46,080 for each branch."""
    encoder = magnet_spec.SPEC.encoder
    assert encoder is not None
    state = encoder.build(magnet_spec.MagnetConfig()).state_dict()
    groups = grouped(encoder, list(state))
    sizes = {name: sum(state[key].numel() for key in keys) for name, keys in groups.items()}
    assert sizes == {"trunk": 62_256, "texture": 46_080, "motion": 46_080}
    assert sum(len(keys) for keys in groups.values()) == len(state)


def test_the_layer_of_both_branches_is_a_group_of_both() -> None:
    encoder = fast_spec.SPEC.encoder
    assert encoder is not None
    config = fast_spec.FastConfig()
    state = encoder.build(config).state_dict()
    groups = grouped(encoder, list(state))
    assert sorted(groups["texture+motion"]) == ["encoder.layers.4.bias", "encoder.layers.4.weight"]
    assert state["encoder.layers.4.weight"].shape[0] == 2 * config.width
    assert len(groups["trunk"]) == 4


def test_range_of_frames_is_the_networks() -> None:
    encoder = magnet_spec.SPEC.encoder
    assert encoder is not None
    config = magnet_spec.MagnetConfig(signed=True)
    signed, plain = encoder.build(config), encoder.build(replace(config, signed=False))
    plain.load_state_dict(signed.state_dict())
    frames = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(signed(frames), plain(frames * 2 - 1))
