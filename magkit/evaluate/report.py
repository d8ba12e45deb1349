"""Reports of scores: medians by displacement and factor, comparisons, curves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from types import ModuleType
from typing import TYPE_CHECKING, Any

from magkit.errors import MagkitError, UsageError
from magkit.runtime.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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


FORMATS = (".png", ".svg")
FEW = 8  # values: no more are written below the curves, each at its place
_TITLES = {
    "displacement": "displacement, pixels",
    "factor": "factor",
    "photon_noise": "photon noise: variance over grey level",
}


def check_plot(path: Path) -> None:
    """Refuse a plot that can't be drawn, before anything is measured.

    Raises:
        UsageError: The suffix is neither .png nor .svg.
        MagkitError: matplotlib isn't there.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"{path} must end in .png or .svg")
    _matplotlib()


def draw(path: Path, reports: Sequence[Mapping[str, Any]], axis: str, *, overwrite: bool) -> None:
    """Draw gain and the moving region's SSIM over an axis, and those of the input, dashed.

    Args:
        path: A .png or .svg file, written whole or not at all.
        reports: Reports (`report.report`) of the same scenes, each with its name as "name".
        axis: The field of the scores over which the curves run, logarithmically.
        overwrite: Whether an existing file is replaced.

    Raises:
        UsageError, MagkitError: As `check_plot`, or the file exists or can't be written.
    """
    check_plot(path)
    figure = _matplotlib().Figure(figsize=(9, 3.6), layout="constrained")
    gain, similarity = figure.subplots(1, 2)
    for report in reports:
        _curve(gain, report[axis], axis, "gain", str(report["name"]))
        _curve(similarity, report[axis], axis, "region_ssim", str(report["name"]))
    rows = reports[0][axis]
    _curve(similarity, rows, axis, "input_region_ssim", "input", color="grey", linestyle="--")
    gain.axhline(1, color="grey", linestyle="--", linewidth=1)
    _label(gain, rows, axis, "gain: achieved over asked, median")
    _label(similarity, rows, axis, "SSIM of what moves, mean")
    similarity.legend(frameon=False, fontsize="small")
    with atomic_path(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=150)


def _curve(
    panel: Axes, rows: Sequence[Mapping[str, float]], axis: str, field: str, name: str, **look: Any
) -> None:
    look = {"marker": "o", "markersize": 4, **look}
    panel.plot([row[axis] for row in rows], [row[field] for row in rows], label=name, **look)


def _label(panel: Axes, rows: Sequence[Mapping[str, float]], axis: str, title: str) -> None:
    panel.set_xscale("log")
    if len(rows) <= FEW:
        values = [row[axis] for row in rows]
        panel.set_xticks(values, [f"{value:g}" for value in values])
        panel.minorticks_off()
    panel.set_xlabel(_TITLES[axis])
    panel.set_title(title, fontsize="medium")
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)


def _matplotlib() -> ModuleType:
    try:
        # Without pyplot: no window, no state that outlives the figure.
        from matplotlib import figure
    except ImportError as error:
        raise MagkitError(
            "a plot needs matplotlib, which is not installed", "pip install 'magkit[plot]'"
        ) from error
    return figure
