"""Curves of gain and similarity, several magnifiers in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from magkit.errors import MagkitError, UsageError
from magkit.runtime.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
