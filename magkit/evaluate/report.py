"""Scores to a report: medians and means, over all cases, by displacement and by factor.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

NEAR = 0.1  # a gain this close to 1 is near

Record = Mapping[str, float]


def summary(records: Sequence[Record]) -> dict[str, float]:
    """Summarise scores.

    Args:
        records: the scores' fields by name (`Score.as_dict`), at least one.

    Returns:
        cases: their number; gain: the median of achieved over asked; near: the share of gains
        within a tenth of 1; ssim, region_ssim, input_ssim, input_region_ssim: means, and their
        medians as `median_*`.
    """
    gains = [record["gain"] for record in records]
    rows = {"cases": float(len(records)), "gain": median(gains)}
    rows["near"] = fmean(abs(gain - 1) <= NEAR for gain in gains)
    names = ("ssim", "region_ssim", "input_ssim", "input_region_ssim")
    columns = {name: [record[name] for record in records] for name in names}
    means = {name: fmean(values) for name, values in columns.items()}
    medians = {f"median_{name}": median(values) for name, values in columns.items()}
    return {**rows, **means, **medians}


def report(
    records: Iterable[Record], axes: Sequence[str] = ("displacement", "factor")
) -> dict[str, Any]:
    """Summarise all scores, and those of each displacement and factor, or of other fields' values.

    Args:
        records: the scores' fields by name, at least one score.
        axes: the fields by whose values they are told apart.

    Returns:
        all: a summary; displacement, factor (the axes): lists of summaries with the value that
        they are of, in ascending order; cases: the records.
    """
    scores = [dict(record) for record in records]
    return {
        "all": summary(scores),
        **{key: _by(key, scores) for key in axes},
        "cases": scores,
    }


def _by(key: str, scores: Sequence[Record]) -> list[dict[str, float]]:
    return [
        {key: value, **summary([score for score in scores if score[key] == value])}
        for value in sorted({score[key] for score in scores})
    ]
