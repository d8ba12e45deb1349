"""Paired bootstrap: intervals of how two methods differ on the same cases."""

from __future__ import annotations

from collections.abc import Sequence
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


def ratio_of_means(after: ArrayLike, before: ArrayLike, seed: int = 0) -> Interval:
    """Return the mean of `after` over that of `before`, of the same cases.

    Percentile bootstrap (Efron & Tibshirani, 1993, chapter 13).

    Args:
        after: (N,), or (S, N) of S seeds, which are drawn as well.
        before: likewise.
        seed: of the draws.
    """
    ours, theirs = _means(after, before, seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _interval(ours / theirs)


def difference_of_means(after: ArrayLike, before: ArrayLike, seed: int = 0) -> Interval:
    """Return the mean of `after` minus that of `before`, of the same cases; see above."""
    ours, theirs = _means(after, before, seed)
    return _interval(ours - theirs)


def _means(after: ArrayLike, before: ArrayLike, seed: int) -> Sequence[NDArray[np.float64]]:
    """Return means of all cases, then of draws, of both; cases are drawn together."""
    rows = [np.atleast_2d(np.asarray(values, dtype=np.float64)) for values in (after, before)]
    count = rows[0].shape[1]
    if not count or rows[1].shape[1] != count:
        raise ValueError("both need values of the same cases")
    rng = np.random.default_rng(seed)
    cases = np.concatenate([np.arange(count)[None], rng.integers(count, size=(DRAWS, count))])
    found = []
    for table in rows:
        seeds = rng.integers(len(table), size=(DRAWS + 1, len(table)))
        seeds[0] = np.arange(len(table))
        weights = np.stack([(seeds == number).mean(1) for number in range(len(table))], 1)
        found.append(np.einsum("ds,snd->d", weights, table[:, cases].transpose(0, 2, 1) / count))
    return found


def _interval(values: NDArray[np.float64]) -> Interval:
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return Interval(float(values[0]), float(low), float(high))
