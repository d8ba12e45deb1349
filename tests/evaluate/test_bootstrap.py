"""Intervals of paired differences against the normal approximation, and what they pair."""

import numpy as np
import pytest

from magkit.evaluate.bootstrap import difference_of_means, ratio_of_means


def test_the_interval_of_a_difference_is_that_of_its_standard_error() -> None:
    rng = np.random.default_rng(0)
    before = rng.uniform(1, 9, 400)
    after = before - 0.5 + rng.normal(0, 0.2, 400)
    found = difference_of_means(after, before)
    difference = after - before
    error = difference.std(ddof=1) / np.sqrt(len(difference))
    assert found.value == pytest.approx(difference.mean())
    assert found.low == pytest.approx(difference.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(difference.mean() + 1.96 * error, abs=0.1 * error)


def test_a_constant_ratio_is_certain() -> None:
    before = np.array([1.0, 5.0, 30.0])
    found = ratio_of_means(0.7 * before, before)
    assert tuple(found) == pytest.approx((0.7, 0.7, 0.7))


def test_seeds_widen_the_interval() -> None:
    before = np.ones(50)
    alike = ratio_of_means(np.full((5, 50), 0.8), before)
    apart = ratio_of_means(np.linspace(0.6, 1.0, 5)[:, None] * np.ones((5, 50)), before)
    assert alike.value == pytest.approx(apart.value)
    assert apart.high - apart.low > 0.1 > alike.high - alike.low


def test_intervals_hold_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for seed in range(60):
        noise = rng.normal(0, 1, 40)
        found = difference_of_means(noise, np.zeros(40), seed=seed)
        held += found.low <= 0 <= found.high
    assert 52 <= held <= 60


@pytest.mark.parametrize(("after", "before"), [([], []), ([1.0], [1.0, 2.0])])
def test_cases_that_do_not_pair(after: list[float], before: list[float]) -> None:
    with pytest.raises(ValueError, match="same cases"):
        ratio_of_means(after, before)


def test_cases_of_a_group_are_drawn_together() -> None:
    rng = np.random.default_rng(0)
    effects = rng.normal(0, 1, 20)
    after = np.repeat(effects, 30) + rng.normal(0, 0.1, 600)
    groups = np.repeat(np.arange(20), 30).tolist()
    found = difference_of_means(after, np.zeros(600), groups)
    means = after.reshape(20, 30).mean(1)
    error = means.std(ddof=1) / np.sqrt(20)
    assert found.value == pytest.approx(means.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.12)
    apart = difference_of_means(after, np.zeros(600))
    assert apart.high - apart.low < 0.3 * (found.high - found.low)
    assert difference_of_means(after, np.zeros(600), ["all"] * 600) == apart


def test_groups_of_unequal_size_weigh_by_their_cases() -> None:
    after = np.array([1.0, 1.0, 1.0, 5.0])
    found = difference_of_means(after, np.zeros(4), ["a", "a", "a", "b"])
    assert tuple(found) == (2.0, 1.0, 5.0)
