"""Moments, what layers remember, and distances, against NumPy in double precision."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from magkit.invert.statistics import (
    EPS,
    Moments,
    bn_statistics,
    moments,
    moments_distance,
    pool_moments,
    record_moments,
)
from magkit.protocols import Statistic

Array = NDArray[np.float64]
SHAPES = [(7, 3), (1, 3), (2, 3, 5), (2, 3, 4, 5), (1, 3, 1, 1)]


def numbers(shape: tuple[int, ...], seed: int = 0) -> Array:
    drawn: Array = np.random.default_rng(seed).normal(2.0, 3.0, shape)
    return drawn


def exact(x: Array) -> tuple[Array, Array]:
    rest = tuple(axis for axis in range(x.ndim) if axis != 1)
    return x.mean(rest), (x**2).mean(rest) - x.mean(rest) ** 2


def tensors(mean: Array, variance: Array) -> Moments:
    return Moments(torch.tensor(mean), torch.tensor(variance))


@pytest.mark.parametrize("shape", SHAPES)
def test_moments(shape: tuple[int, ...]) -> None:
    x = numbers(shape)
    found, (mean, variance) = moments(torch.tensor(x)), exact(x)
    np.testing.assert_allclose(found.mean_C, mean, rtol=1e-9)
    np.testing.assert_allclose(found.variance_C, variance, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_of_moments(shape: tuple[int, ...]) -> None:
    def both(x: Tensor) -> tuple[Tensor, Tensor]:
        found = moments(x)
        return found.mean_C, found.variance_C

    x = torch.tensor(numbers(shape), requires_grad=True)
    assert torch.autograd.gradcheck(both, x)
    for chosen in (0, 1):  # one of the two alone: nothing comes back from the other
        assert torch.autograd.gradcheck(lambda x, part=chosen: both(x)[part], x)


def test_the_gradient_is_that_of_plain_torch_in_single_precision() -> None:
    x = torch.tensor(numbers((2, 16, 24, 40)), dtype=torch.float32)
    weights = torch.rand(2, 16)
    gradients = []
    for way in (moments, lambda x: Moments(x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0))):
        given = x.clone().requires_grad_()
        found = way(given)
        total = (weights[0] * found.mean_C + weights[1] * found.variance_C).sum()
        gradients.append(torch.autograd.grad(total, given)[0])
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-8)


def test_channels_last_gives_the_same() -> None:
    x = torch.tensor(numbers((2, 3, 4, 5)), requires_grad=True)
    last = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    found = [moments(v) for v in (x, last)]
    torch.testing.assert_close(found[0].mean_C, found[1].mean_C, rtol=1e-12, atol=0)
    torch.testing.assert_close(found[0].variance_C, found[1].variance_C, rtol=1e-12, atol=0)
    gradients = [
        torch.autograd.grad((m.mean_C + m.variance_C.square()).sum(), v)[0]
        for m, v in zip(found, (x, last), strict=True)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_single(dtype: torch.dtype) -> None:
    x = (torch.rand(2, 3, 40, 40) + 100).to(dtype)
    found, (mean, variance) = moments(x), exact(x.double().numpy())
    assert found.mean_C.dtype == found.variance_C.dtype == torch.float32
    np.testing.assert_allclose(found.mean_C, mean, rtol=1e-6)
    np.testing.assert_allclose(found.variance_C, variance, rtol=1e-3, atol=1e-6)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), frames=st.integers(0, 5))
def test_blended_moments_are_those_of_all_frames_together(seed: int, frames: int) -> None:
    """One frame's, as one part of `frames` + 1, and those of `frames` alike in size before."""
    x = numbers((frames + 1, 3, 4, 4), seed) * np.arange(1, frames + 2)[:, None, None, None]
    before = tensors(*(exact(x[:-1]) if frames else (np.ones(3), np.ones(3))))
    found = pool_moments(tensors(*exact(x[-1:])), before, 1 / (1 + frames))
    mean, variance = exact(x)
    np.testing.assert_allclose(found.mean_C, mean, rtol=1e-9)
    np.testing.assert_allclose(found.variance_C, variance, rtol=1e-9)


def layers(sizes: tuple[int, ...] = (3, 5, 2)) -> list[Statistic]:
    found = []
    for number, size in enumerate(sizes):
        drawn = np.random.default_rng(number)
        mean, variance = torch.tensor(drawn.normal(size=size)), torch.tensor(drawn.random(size))
        group = "region" if number == len(sizes) - 1 else "picture"
        found.append(Statistic(f"bn{number}", nn.Identity(), mean, variance, group))  # type: ignore[arg-type]
    return found


def seen_by(known: list[Statistic], seed: int = 5) -> dict[str, Moments]:
    return {
        s.name: tensors(*exact(numbers((4, len(s.mean_C), 3, 3), seed + n)))
        for n, s in enumerate(known)
    }


def plain_part(seen: Moments, known: Statistic) -> float:
    mean, variance = (t.numpy() for t in (seen.mean_C, seen.variance_C))
    return float(
        np.sqrt(((mean - known.mean_C.numpy()) ** 2).sum())
        + np.sqrt(((variance - known.variance_C.numpy()) ** 2).sum())
    )


def scaled_part(seen: Moments, known: Statistic) -> float:
    mean, variance = (t.numpy() for t in (seen.mean_C, seen.variance_C))
    own = known.variance_C.numpy() + EPS
    means = (mean - known.mean_C.numpy()) ** 2 / own
    return float((means + (np.sqrt((variance + EPS) / own) - 1) ** 2).mean())


@pytest.mark.parametrize(("first", "region"), [(1.0, 1.0), (10.0, 0.1), (0.0, 2.0)])
def test_the_plain_distance_is_the_weighted_sum_over_layers(first: float, region: float) -> None:
    known = layers()
    seen = seen_by(known)
    parts = [plain_part(seen[s.name], s) for s in known]
    found = moments_distance(known, seen, form="plain", first=first, region=region)
    assert found.item() == pytest.approx(np.dot([first, 1, region], parts), rel=1e-9)


@pytest.mark.parametrize(("first", "region"), [(1.0, 1.0), (10.0, 0.1), (0.0, 2.0)])
def test_the_scaled_distance_is_the_weighted_mean_over_layers(first: float, region: float) -> None:
    known = layers()
    seen = seen_by(known)
    parts = [scaled_part(seen[s.name], s) for s in known]
    found = moments_distance(known, seen, form="scaled", first=first, region=region)
    expected = np.average(parts, weights=[first, 1, region])
    assert found.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("form", ["plain", "scaled"])
def test_a_layer_that_saw_nothing_does_not_count(form: str) -> None:
    known = layers()
    seen = seen_by(known)
    del seen["bn2"]
    found = moments_distance(known, seen, form=form, region=7)  # type: ignore[arg-type]
    torch.testing.assert_close(found, moments_distance(known[:2], seen, form=form))  # type: ignore[arg-type]
    assert moments_distance(known, {}, form=form) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["plain", "scaled"])
def test_the_distance_of_what_is_remembered_is_nothing(form: str) -> None:
    known = layers()
    seen = {s.name: Moments(s.mean_C, s.variance_C) for s in known}
    assert moments_distance(known, seen, form=form) == pytest.approx(0, abs=1e-12)  # type: ignore[arg-type]


def test_the_scaled_distance_does_not_depend_on_the_layers_units() -> None:
    """An input in other units: means times a, variances times a squared."""
    known = layers((50,))[0]
    seen = seen_by([known])["bn0"]
    larger = Statistic("bn0", known.module, known.mean_C * 30, (known.variance_C + EPS) * 900)
    there = Moments(seen.mean_C * 30, (seen.variance_C + EPS) * 900)
    near = float(moments_distance([known], {"bn0": seen}))
    assert float(moments_distance([larger], {"bn0": there})) == pytest.approx(near, rel=1e-3)


class Remembers(nn.Module):
    """A layer of somebody's own."""

    def __init__(self) -> None:
        super().__init__()
        self.running_mean, self.running_var = torch.zeros(3), torch.ones(3)

    def forward(self, x: Tensor) -> Tensor:
        return x


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(3),
        FrozenBatchNorm2d(3),
        nn.BatchNorm2d(3, track_running_stats=False),
        nn.GroupNorm(3, 3),
        nn.Sequential(Remembers(), nn.SyncBatchNorm(3)),
    ).eval()


def test_every_kind_of_layer_that_remembers_is_found() -> None:
    model = network()
    found = bn_statistics(model)
    assert [s.name for s in found] == ["0", "1", "4.0", "4.1"]
    assert [s.module for s in found] == [model[0], model[1], model[4][0], model[4][1]]  # type: ignore[index]
    assert found[1].mean_C is model[1].running_mean
    assert found[1].variance_C is model[1].running_var
    assert {s.group for s in found} == {"picture"}
    assert bn_statistics(nn.Conv2d(3, 3, 1)) == []


def test_what_sees_regions_is_told_by_its_name() -> None:
    assert [s.group for s in bn_statistics(network(), ["4"])] == ["picture"] * 2 + ["region"] * 2
    assert [s.group for s in bn_statistics(network(), ["4.1", "0"])] == [
        *("region", "picture", "picture", "region")
    ]


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.modules())


def test_what_a_block_watches() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), FrozenBatchNorm2d(4))
    model.double().eval()
    statistics, x = bn_statistics(model), torch.tensor(numbers((2, 3, 8, 8)), requires_grad=True)
    with record_moments(statistics) as seen:
        assert seen.of == {}
        model(x * 3)
        model(x)  # the last pass counts
        assert hooks(model) == 2
    assert hooks(model) == 0
    for name, layer_input in (("1", model[0](x)), ("3", model[:3](x))):
        mean, variance = exact(layer_input.detach().numpy())
        np.testing.assert_allclose(seen.of[name].mean_C.detach(), mean, rtol=1e-9)
        np.testing.assert_allclose(seen.of[name].variance_C.detach(), variance, rtol=1e-9)
    (gradient,) = torch.autograd.grad(moments_distance(statistics, seen.of), x)
    assert gradient.abs().sum() > 0
    model(x)
    assert set(seen.of) == {"1", "3"}


def test_no_hook_outlives_an_exception() -> None:
    model = network()

    def fails() -> None:
        with record_moments(bn_statistics(model)):
            raise ValueError("within")

    with pytest.raises(ValueError, match="within"):
        fails()
    assert hooks(model) == 0


@pytest.mark.parametrize("make", [lambda: nn.BatchNorm2d(3), lambda: FrozenBatchNorm2d(3)])
def test_a_layer_that_is_shown_no_region_saw_nothing(make: Callable[[], nn.Module]) -> None:
    model = make().eval()
    with record_moments(bn_statistics(model)) as seen:
        model(torch.zeros(0, 3, 7, 7))
    assert seen.of == {}
