"""One step against Adam, the moving average and gradient clipping written out in NumPy."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from magkit.errors import MagkitError
from magkit.training.config import TrainConfig
from magkit.training.loop import MAX_SKIPPED, TrainState, train_step

START = np.array([[0.5, -1.0, 2.0]])


def linear() -> nn.Linear:
    model = nn.Linear(3, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(START))
    return model


def gradients(steps: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(steps, 1, 3))


def train(config: TrainConfig, given: np.ndarray) -> tuple[TrainState, list[dict[str, float]]]:
    model = linear()
    state = TrainState.start(model, config)
    measured = []
    for gradient in given:
        wanted = torch.from_numpy(gradient)
        measured.append(train_step(state, [partial(losses, model, wanted)], config))
    return state, measured


def losses(model: nn.Linear, gradient: torch.Tensor) -> dict[str, torch.Tensor]:
    """Two terms whose sum has the given gradient."""
    whole = (model.weight * gradient).sum()
    return {"one": 0.25 * whole, "two": 0.75 * whole}


def adam(config: TrainConfig, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kingma & Ba, ICLR 2015, algorithm 1, gradients clipped; and the average of the weights."""
    weight, average = START.copy(), START.copy()
    mean, square = np.zeros_like(weight), np.zeros_like(weight)
    for t, gradient in enumerate(given, 1):
        clipped = gradient * min(1, config.clip / (np.linalg.norm(gradient) + 1e-6))
        mean = config.beta1 * mean + (1 - config.beta1) * clipped
        square = config.beta2 * square + (1 - config.beta2) * clipped**2
        corrected = mean / (1 - config.beta1**t), square / (1 - config.beta2**t)
        weight = weight - config.lr * corrected[0] / (np.sqrt(corrected[1]) + 1e-8)
        decay = min(config.ema, t / (9 + t))
        average = decay * average + (1 - decay) * weight
    return weight, average


@pytest.mark.parametrize("clip", [1e9, 0.5])
def test_weights_and_average_follow_the_formulas(clip: float) -> None:
    config = TrainConfig(steps=30, lr=0.05, beta2=0.99, ema=0.6, clip=clip)
    given = gradients(30)
    state, measured = train(config, given)
    weight, average = adam(config, given)
    np.testing.assert_allclose(dict(state.model.named_parameters())["weight"].detach(), weight)
    np.testing.assert_allclose(dict(state.average.named_parameters())["weight"], average)
    assert state.step == 30
    # What is measured is the gradient before it was clipped.
    assert measured[0]["gradient"] == pytest.approx(np.linalg.norm(given[0]))
    assert measured[0]["one"] + measured[0]["two"] == pytest.approx(measured[0]["loss"])
    assert measured[0]["loss"] == pytest.approx(float((START * given[0]).sum()))


def test_the_average_of_weights_that_move_steadily_lags_by_a_known_length() -> None:
    """Once decay is constant at d, the average of w = t trails by d / (1 - d) steps."""
    state = TrainState.start(linear(), TrainConfig(steps=1, ema=0.75, lr=1e-30))
    follow = TrainConfig(steps=1, ema=0.75, lr=1e-30)
    weight = dict(state.model.named_parameters())["weight"]
    for step in range(1, 200):
        with torch.no_grad():
            weight.fill_(step)
        train_step(state, [lambda: {"loss": state.model(torch.ones(1, 3).double()).sum()}], follow)
    averaged = dict(state.average.named_parameters())["weight"]
    assert averaged[0, 0].item() == pytest.approx(199 - 3, abs=1e-6)


def test_a_step_without_a_finite_gradient_changes_nothing() -> None:
    config = TrainConfig(steps=5, lr=0.1)
    given = gradients(3)
    given[1] = np.nan
    state, measured = train(config, given)
    expected, _ = train(config, given[[0, 2]])
    assert torch.equal(*(next(s.model.parameters()) for s in (state, expected)))
    assert (state.step, state.skipped) == (3, 0)
    assert np.isnan(measured[1]["gradient"])


def test_a_training_that_diverged_ends_with_a_sentence() -> None:
    given = np.full((MAX_SKIPPED, 1, 3), np.inf)
    with pytest.raises(MagkitError, match="diverged"):
        train(TrainConfig(steps=50), given)
    state, _ = train(TrainConfig(steps=50), given[1:])
    assert state.skipped == MAX_SKIPPED - 1


def test_a_group_waits_and_has_a_rate_of_its_own() -> None:
    """Frozen, it is left out of the gradient and of Adam's moments; then it moves half as far."""
    given = np.concatenate([np.zeros((2, 1, 3)), gradients(4)])
    config = TrainConfig(lr=0.1, clip=1e9)
    model = nn.ModuleDict({"slow": linear(), "fast": linear()})
    slow, fast = (model[name].get_parameter("weight") for name in ("slow", "fast"))
    groups: list[dict[str, Any]] = [
        {"params": [fast]},
        {"params": [slow], "factor": 0.5, "frozen": 2},
    ]
    state = TrainState.start(model, config, groups)
    for step, gradient in enumerate(given):
        wanted = torch.from_numpy(gradient + (step < 2))

        def terms(wanted: torch.Tensor = wanted) -> dict[str, torch.Tensor]:
            return {"one": ((slow + fast) * wanted).sum()}

        train_step(state, [terms], config)
        assert slow.requires_grad == (step >= 2)
        if step < 2:
            np.testing.assert_array_equal(slow.detach().numpy(), START)
            assert slow not in state.optimizer.state
    weight, _ = adam(config, given[2:])
    moved = slow.detach().numpy() - START
    np.testing.assert_allclose(moved, 0.5 * (weight - START), rtol=1e-9)
    weight, _ = adam(config, given + np.repeat([[[1.0]], [[0.0]]], [2, 4], 0))
    np.testing.assert_allclose(fast.detach().numpy(), weight, rtol=1e-9)
