"""Paired bootstrap: intervals of how two methods differ on the same cases."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 10_000


class Interval(NamedTuple):
    """An estimate, and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def ratio_of_means(
    after: ArrayLike,
    before: ArrayLike,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> Interval:
    """Return the mean of `after` over that of `before`, of the same cases.

    Percentile bootstrap (Efron & Tibshirani, 1993, chapter 13).

    Args:
        after: (N,), or (S, N) of S seeds, which are drawn as well.
        before: likewise.
        groups: of each case, such as its video; cases of a group are drawn together, for they
            depend on one another. Of a single group, its cases are drawn.
        seed: of the draws.
    """
    ours, theirs = _means(after, before, groups, seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _interval(ours / theirs)


def difference_of_means(
    after: ArrayLike,
    before: ArrayLike,
    groups: Sequence[Hashable] | None = None,
    seed: int = 0,
) -> Interval:
    """Return the mean of `after` minus that of `before`, of the same cases; see above."""
    ours, theirs = _means(after, before, groups, seed)
    return _interval(ours - theirs)


def _means(
    after: ArrayLike, before: ArrayLike, groups: Sequence[Hashable] | None, seed: int
) -> Sequence[NDArray[np.float64]]:
    """Return means of all cases, then of draws, of both; cases are drawn together."""
    rows = [np.atleast_2d(np.asarray(values, dtype=np.float64)) for values in (after, before)]
    count = rows[0].shape[1]
    if not count or rows[1].shape[1] != count:
        raise ValueError("both need values of the same cases")
    rng = np.random.default_rng(seed)
    numbers = _numbers(groups or range(count))
    if numbers.max() == 0:
        numbers = np.arange(count)
    weights = _drawn(rng, numbers.max() + 1)[:, numbers]
    weights /= weights.sum(1, keepdims=True)
    return [np.einsum("ds,sn,dn->d", _drawn(rng, len(t)) / len(t), t, weights) for t in rows]


def _numbers(groups: Iterable[Hashable]) -> NDArray[np.int64]:
    """Return the groups as numbers from 0 on."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(group, len(known)) for group in groups])


def _drawn(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Return how often each of `count` things is drawn, (DRAWS + 1, count); first, once each."""
    draws = rng.multinomial(count, np.full(count, 1 / count), size=DRAWS)
    return np.concatenate([np.ones((1, count)), draws.astype(np.float64)])


def _interval(values: NDArray[np.float64]) -> Interval:
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return Interval(float(values[0]), float(low), float(high))
