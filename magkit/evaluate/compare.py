"""Several magnifiers on the same scenes: where the one that is judged is not ahead.

Imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MEASURES = ("gain", "ssim", "region_ssim")
INPUT = "input"  # doing nothing, the baseline that every score carries


def behind(
    judged: Mapping[str, Any], others: Sequence[Mapping[str, Any]], axes: Sequence[str]
) -> list[dict[str, Any]]:
    """List the cells in which a magnifier is not ahead of another, or of doing nothing.

    Ahead is a gain nearer to 1, or a larger similarity; a tie is not.

    Args:
        judged: a report (`report.report`).
        others: reports of the same scenes, each with its name as "name".
        axes: the fields by which the reports are broken down.

    Returns:
        by: "all" or an axis; value: of that axis, None for all; measure; than: a name, or "input";
        judged, other: what the two reached.
    """
    return [
        {"by": by, "value": row.get(by), **cell}
        for by, row, rivals in _rows(judged, others, axes)
        for cell in _cells(row, rivals)
    ]


def _rows(
    judged: Mapping[str, Any], others: Sequence[Mapping[str, Any]], axes: Sequence[str]
) -> Iterator[tuple[str, Mapping[str, float], dict[str, Mapping[str, float]]]]:
    yield "all", judged["all"], {str(other["name"]): other["all"] for other in others}
    for axis in axes:
        for index, row in enumerate(judged[axis]):
            yield axis, row, {str(other["name"]): other[axis][index] for other in others}


def _cells(
    row: Mapping[str, float], rivals: Mapping[str, Mapping[str, float]]
) -> Iterator[dict[str, Any]]:
    for measure in MEASURES:
        reached = {name: rival[measure] for name, rival in rivals.items()}
        if measure != "gain":
            reached[INPUT] = row[f"input_{measure}"]
        for name, other in reached.items():
            if not _worth(measure, row[measure]) > _worth(measure, other):
                cell = {"measure": measure, "than": name}
                yield {**cell, "judged": row[measure], "other": other}


def _worth(measure: str, value: float) -> float:
    return -abs(value - 1) if measure == "gain" else value
