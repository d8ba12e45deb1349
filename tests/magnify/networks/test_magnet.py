"""The published network: its layout, and what follows from its equations."""

import re

import pytest
import torch

from magkit.magnify.magnet import MagNet
from magkit.magnify.magnet_spec import SPEC, MagnetConfig


@pytest.fixture(scope="module")
def network() -> MagNet:
    torch.manual_seed(0)
    return MagNet(MagnetConfig()).eval()


def frames(n: int = 1, height: int = 24, width: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(seed))


def expected_layout() -> dict[str, tuple[int, ...]]:
    def block(name: str, channels: int) -> dict[str, tuple[int, ...]]:
        shape = (channels, channels, 3, 3)
        return {f"{name}.cba_{k}.conv2d.weight": shape for k in (1, 2)}

    layout: dict[str, tuple[int, ...]] = {
        "encoder.cba_1.conv2d.weight": (16, 3, 7, 7),
        "encoder.cba_2.conv2d.weight": (32, 16, 3, 3),
        "encoder.texture_cba.conv2d.weight": (32, 32, 3, 3),
        "encoder.motion_cba.conv2d.weight": (32, 32, 3, 3),
        "manipulator.g.conv2d.weight": (32, 32, 3, 3),
        "manipulator.h_conv.conv2d.weight": (32, 32, 3, 3),
        "decoder.cba_1.conv2d.weight": (32, 64, 3, 3),
        "decoder.cba_2.conv2d.weight": (3, 32, 7, 7),
        **block("manipulator.h_resblk", 32),
    }
    for name, count, channels in (
        ("encoder.resblks", 3, 32),
        ("encoder.texture_resblks", 2, 32),
        ("encoder.motion_resblks", 2, 32),
        ("decoder.resblks", 9, 64),
    ):
        for k in range(count):
            layout |= block(f"{name}.{k}", channels)
    return layout


def test_the_layout_is_the_published_one(network: MagNet) -> None:
    made = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert made == expected_layout()
    assert sum(p.numel() for p in network.parameters()) == 877_968


def test_a_factor_of_one_leaves_motion_out(network: MagNet) -> None:
    one, other = network.encode(frames()), network.encode(frames(seed=1))
    current, moved = (
        network.render(other, network.motion(one, other), torch.ones(1)),
        torch.zeros(1),
    )
    still = network.render(other, network.motion(other, other), torch.tensor([7.0]))
    torch.testing.assert_close(current, still)
    assert not torch.allclose(network.render(other, network.motion(one, other), moved), still)


def test_each_frame_has_its_own_factor(network: MagNet) -> None:
    a, b = network.encode(frames(2)), network.encode(frames(2, seed=1))
    motion = network.motion(a, b)
    both = network.render(b, motion, torch.tensor([3.0, 20.0]))
    assert both.shape == (2, 3, 24, 32)
    alike = network.render(b, motion, torch.tensor([3.0, 3.0]))
    torch.testing.assert_close(both[0], alike[0])
    assert not torch.allclose(both[1], alike[1])


@pytest.mark.parametrize(("height", "width"), [(8, 8), (8, 40), (64, 16)])
def test_sizes_down_to_the_stride(network: MagNet, height: int, width: int) -> None:
    assert network.stride == 8
    features = network.encode(frames(1, height, width))
    assert features.texture.shape == (1, 32, height // 4, width // 4)
    assert features.shape.shape == (1, 32, height // 2, width // 2)
    made = network.render(features, network.motion(features, features), torch.ones(1))
    assert made.shape == (1, 3, height, width)


def test_gradients_reach_every_weight() -> None:
    torch.manual_seed(0)
    network = MagNet(MagnetConfig())
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(4)  # as they start, the motion is too faint to be seen
    a, b = network.encode(frames()), network.encode(frames(seed=1))
    made = network.render(b, network.motion(a, b), torch.tensor([10.0]))
    torch.autograd.backward(made.square().mean())
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name


def test_the_spec_builds_it() -> None:
    assert isinstance(SPEC.build(MagnetConfig()), MagNet)
    assert SPEC.name == "magnet"
    assert re.search(r"1804\.02684", SPEC.paper)
