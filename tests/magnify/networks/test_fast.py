"""`magnet-fast` before any training: it measures by least squares and warps."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from magkit.magnify.fast import MagnetFast
from magkit.magnify.fast_encoder import join, signed_log
from magkit.magnify.fast_spec import SPEC, FastConfig
from magkit.magnify.load import load_magnifier
from magkit.synth.procedural import ProceduralCutouts, ProceduralPictures
from magkit.synth.render import Sources, render
from magkit.synth.scene import SceneConfig, draw_scene


def fresh(seed: int = 0) -> MagnetFast:
    torch.manual_seed(seed)
    return MagnetFast(FastConfig()).eval()


@pytest.fixture(scope="module")
def network() -> MagnetFast:
    return fresh()


def frames(n: int = 1, height: int = 64, width: int = 96, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def magnified(network: MagnetFast, a: torch.Tensor, b: torch.Tensor, factor: float) -> torch.Tensor:
    reference, current = network.encode(a), network.encode(b)
    motion = network.motion(reference, current)
    return network.render(current, motion, torch.full((len(a),), factor))


@pytest.mark.parametrize(("down", "across"), [(1, 1), (2, 5), (4, 3)])
@pytest.mark.parametrize("n", [1, 3])
def test_frames_keep_their_size(network: MagnetFast, n: int, down: int, across: int) -> None:
    height, width = down * network.stride, across * network.stride
    a, b = frames(n, height, width), frames(n, height, width, seed=1)
    motion = network.motion(network.encode(a), network.encode(b))
    assert motion.shape == (n, 2, height // 4, width // 4)
    made = magnified(network, a, b, 10.0)
    assert made.shape == (n, 3, height, width)
    assert made.isfinite().all()


def test_the_same_twice(network: MagnetFast) -> None:
    a, b = frames(), frames(seed=1)
    once = magnified(network, a, b, 10.0)
    assert torch.equal(once, magnified(network, a, b, 10.0))
    assert torch.equal(once, magnified(fresh(), a, b, 10.0))


def test_frames_of_a_batch_are_apart(network: MagnetFast) -> None:
    a, b = frames(3), frames(3, seed=1)
    together = magnified(network, a, b, 5.0)
    for n in range(3):
        alone = magnified(network, a[n : n + 1], b[n : n + 1], 5.0)
        torch.testing.assert_close(together[n], alone[0], atol=1e-4, rtol=0)


def test_a_factor_of_one_gives_nearly_the_frame(network: MagnetFast) -> None:
    b = frames(seed=1)
    assert (magnified(network, frames(), b, 1.0) - b).abs().mean() < 0.05
    assert (magnified(network, b, b, 50.0) - b).abs().mean() < 0.05


def test_a_displacement_is_measured_untrained(network: MagnetFast) -> None:
    sources = Sources(ProceduralPictures(4), ProceduralCutouts(4))
    config = SceneConfig(size=96, kinds=("background-motion",), colour=0.0)
    scene = replace(draw_scene(config, 4, 4, 0, 1), motion=(0.12, -0.05), factor=5.0)
    truth = render([scene], config, sources, quantise=False)
    with torch.no_grad():
        motion = network.motion(network.encode(truth.a), network.encode(truth.b))
    x, y = motion[0, :, 3:-3, 3:-3].flatten(1).median(1).values.tolist()
    assert x == pytest.approx(0.12, rel=0.2)
    assert y == pytest.approx(-0.05, rel=0.2)


def test_the_motion_scales_the_displacement(network: MagnetFast) -> None:
    current = network.encode(frames(seed=1))
    motion = torch.full((1, 2, 16, 24), 0.5)
    with torch.no_grad():
        half = network.render(current, motion, torch.tensor([5.0]))
        double = network.render(current, motion * 2, torch.tensor([3.0]))
    torch.testing.assert_close(half, double, atol=1e-5, rtol=0)


def test_every_order_of_magnitude_is_shown_alike() -> None:
    x = torch.tensor([-9.0, -0.5, 0.0, 1e-3, 99.0], requires_grad=True)
    shown = signed_log(x)
    torch.testing.assert_close(shown, x.sign() * x.abs().log1p())
    torch.autograd.backward(shown.sum())
    assert x.grad is not None
    # copysign passes no gradient at nought, where half the pixels of a still frame may lie.
    torch.testing.assert_close(x.grad[[0, 1, 3, 4]], 1 / (1 + x.detach().abs()[[0, 1, 3, 4]]))


def test_channels_side_by_side_stay_so() -> None:
    last = torch.rand(1, 8, 4, 6).contiguous(memory_format=torch.channels_last)[:, :5]
    first = torch.rand(1, 3, 4, 6)
    joined = join([last, first])
    assert joined.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(joined, torch.cat([last.contiguous(), first], 1))
    assert join([first, last]).is_contiguous()


def test_gradients_reach_every_weight() -> None:
    network = fresh().train()
    with torch.no_grad():  # last layers start at nought, which would hide what lies before them
        for weight in network.parameters():
            if not weight.any():
                weight.normal_(0, 0.05)
    reference, current = network.encode(frames(2)), network.encode(frames(2, seed=1))
    motion = network.motion(reference, current)
    made = network.render(current, motion, torch.tensor([10.0, 3.0]))
    torch.autograd.backward(made.square().mean())
    for name, weight in network.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.abs().max() > 0, name


def test_convolutions_stay_well_below_the_bar(network: MagnetFast) -> None:
    a, b = frames(1, 384, 384), frames(1, 384, 384, seed=1)
    with FlopCounterMode(display=False) as counter:
        magnified(network, a, b, 10.0)
    # The bar of 8 GFLOP is for everything; benchmarks/flops.py counts the rest.
    assert counter.get_total_flops() < 7e9


def test_the_spec_builds_what_its_config_says() -> None:
    config = FastConfig(stem=8, width=8, guide=8, hidden=8)
    network = SPEC.build(config)
    assert isinstance(network, MagnetFast)
    assert magnified(network, frames(), frames(seed=1), 3.0).shape == (1, 3, 64, 96)
    assert sum(p.numel() for p in network.parameters()) < 40_000
    with pytest.raises(ValueError, match="at least 4"):
        FastConfig(width=2)


@pytest.mark.parametrize("n", [1, 2])
def test_an_exported_graph_has_no_branches_but_the_same_frames(
    n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small motion, motion that must be matched, and stillness, as they are and as exported."""
    network, large = load_magnifier(), frames(n, 12, 20, seed=2)
    world = torch.nn.functional.interpolate(large, (96, 176), mode="bicubic").clamp(0, 1)
    a, b = world[..., :64, 24:152].contiguous(), world[..., :64, 24:152].clone()
    b[..., :32, :64] = world[..., :32, 4:68]
    b[..., 32:, :64] = (a[..., 32:, :64] + world[..., 32:64, 23:87]) / 2
    assert isinstance(network, MagnetFast)
    for other in (b, a):
        wanted = magnified(network, a, other, 4.0)
        with monkeypatch.context() as patch:
            patch.setattr(torch.compiler, "is_exporting", lambda: True)
            found = magnified(network, a, other, 4.0)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
