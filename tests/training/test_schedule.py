"""The learning rate against its formula, and what a configuration refuses."""

import math

import pytest

from magkit.training.config import TrainConfig, learning_rate


def test_the_rate_rises_linearly_and_falls_along_half_a_cosine() -> None:
    config = TrainConfig(steps=1000, lr=2e-3, warmup=100, final_lr_ratio=0.1)
    assert learning_rate(config, 0) == pytest.approx(2e-5)
    assert learning_rate(config, 49) == pytest.approx(1e-3)
    assert learning_rate(config, 99) == pytest.approx(2e-3)
    assert learning_rate(config, 100) == pytest.approx(2e-3)
    assert learning_rate(config, 550) == pytest.approx(2e-3 * 0.55)
    assert learning_rate(config, 1000) == pytest.approx(2e-4)
    quarter = 0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2
    assert learning_rate(config, 325) == pytest.approx(2e-3 * quarter)


def test_the_papers_rate_does_not_change() -> None:
    config = TrainConfig(steps=10)
    assert {learning_rate(config, step) for step in range(10)} == {1e-4}


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"lr": 0.0},
        {"lr": math.inf},
        {"lr": math.nan},
        {"clip": 0.0},
        {"beta1": 1.0},
        {"beta2": -0.1},
        {"ema": 1.0},
        {"final_lr_ratio": 1.5},
        {"warmup": -1},
        {"seed": -1},
        {"save_every": 0},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainConfig(**wrong)  # type: ignore[arg-type]
