"""Steps of every optimiser against formulas in NumPy float64 and other people's code."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from magkit.training.config import TrainConfig
from magkit.training.optimizers import LARS, make_optimizer

Array = npt.NDArray[np.float64]
STEPS = 20


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1, bias=False), nn.LayerNorm(5)
    return nn.Sequential(*layers).double()


def gradients(like: Array, step: int) -> Array:
    return np.random.default_rng(step).normal(size=like.shape)


def moved(optimizer: torch.optim.Optimizer, weight: torch.Tensor, rates: list[float]) -> None:
    for step, rate in enumerate(rates):
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = torch.from_numpy(gradients(weight.detach().numpy(), step))
        optimizer.step()


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_lars_follows_the_paper(decay: float) -> None:
    """Algorithm 1 of arXiv 1708.03888, with a rate that changes."""
    weight = nn.Parameter(torch.randn(3, 4, dtype=torch.float64))
    expected, velocity = weight.detach().numpy().copy(), np.zeros((3, 4))
    rates = [0.5 / (step + 1) for step in range(STEPS)]
    for step, rate in enumerate(rates):
        gradient = gradients(expected, step)
        size = np.linalg.norm(expected)
        local = 0.01 * size / (np.linalg.norm(gradient) + decay * size)
        velocity = 0.9 * velocity + rate * local * (gradient + decay * expected)
        expected = expected - velocity
    moved(LARS([weight], 1.0, 0.9, decay, trust=0.01), weight, rates)
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-12)


def test_lars_equals_lightlys_at_a_constant_rate() -> None:
    lars = pytest.importorskip("lightly.utils.lars").LARS
    ours, theirs = (nn.Parameter(torch.ones(3, 4, dtype=torch.float64) * 0.3) for _ in range(2))
    rates = [0.2] * STEPS
    moved(LARS([ours], 0.2, 0.9, 0.05), ours, rates)
    # Theirs adapts a tensor only where it is decayed.
    moved(lars([theirs], lr=0.2, momentum=0.9, weight_decay=0.05), theirs, rates)
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=0)


@pytest.mark.parametrize("start", ["weight", "gradient"])
def test_lars_does_not_divide_by_nothing(start: str) -> None:
    weight = nn.Parameter(torch.full((2, 2), 0.0 if start == "weight" else 1.0))
    weight.grad = torch.full((2, 2), 1.0 if start == "weight" else 0.0)
    LARS([weight], 0.1, 0.0).step()
    assert torch.allclose(weight, torch.tensor(-0.1 if start == "weight" else 1.0))


def test_biases_and_norms_are_neither_decayed_nor_adapted() -> None:
    model = network()
    model[3].weight.requires_grad_(False)
    config = TrainConfig(optimizer="lars", lr=0.1, momentum=0.0, weight_decay=0.3)
    optimizer = make_optimizer(model, config)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.5)
    optimizer.step()
    for name, parameter in model.named_parameters():
        change = before[name] - parameter.detach()
        if name in ("0.weight", "2.weight"):
            size, slope = before[name].norm(), torch.full_like(parameter, 0.5).norm()
            local = 1e-3 * size / (slope + 0.3 * size)
            torch.testing.assert_close(change, 0.1 * local * (0.5 + 0.3 * before[name]))
        elif name == "3.weight":
            assert not change.any()
        else:
            torch.testing.assert_close(change, torch.full_like(change, 0.05))


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd"])
def test_decay_is_that_of_torchs_optimisers(kind: Any) -> None:
    weight, twin = (nn.Linear(3, 2, bias=False).double() for _ in range(2))
    twin.load_state_dict(weight.state_dict())
    config = TrainConfig(optimizer=kind, lr=0.01, weight_decay=0.1, momentum=0.8, beta2=0.99)
    theirs: torch.optim.Optimizer
    if kind == "sgd":
        theirs = torch.optim.SGD(twin.parameters(), 0.01, 0.8, weight_decay=0.1)
    else:
        maker = torch.optim.Adam if kind == "adam" else torch.optim.AdamW
        theirs = maker(twin.parameters(), 0.01, (0.9, 0.99), weight_decay=0.1)
    moved(make_optimizer(weight, config), weight.weight, [0.01] * STEPS)
    moved(theirs, twin.weight, [0.01] * STEPS)
    assert torch.equal(weight.weight, twin.weight)
