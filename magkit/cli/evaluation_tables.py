"""The tables of `magkit evaluate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

Report = Mapping[str, Any]

_MEASURES = ("gain", "ssim", "region_ssim")


def score_table(result: Report, axes: Sequence[str]) -> Table:
    """One magnifier: a row for all scenes and for each value of the axes."""
    from rich.table import Table

    right = ("scenes", "gain", "within 10 %", "SSIM", "region", "SSIM still", "region still")
    table = Table("", title=f"{result['magnifier']}: gain is the median, the rest are means")
    for name in right:
        table.add_column(name, justify="right")
    table.add_row("all", *_cells(result["all"]), end_section=True)
    for axis in axes:
        for row in result[axis]:
            table.add_row(label(axis, row[axis]), *_cells(row), end_section=row is result[axis][-1])
    return table


def comparison_table(
    reports: Sequence[Report], axes: Sequence[str], behind: Sequence[Mapping[str, Any]]
) -> Table:
    """Several magnifiers: for each value of the axes a row for each, the judged one first.

    Its cells in which another, or the input as it is, does at least as well carry a star.
    """
    from rich.table import Table

    table = Table("", "", title="gain is the median, the rest are means")
    for name in ("gain", "within 10 %", "SSIM", "region"):
        table.add_column(name, justify="right")
    table.caption = "* not ahead of every other row" if behind else "ahead in every cell"
    starred = {(cell["by"], cell["value"], cell["measure"]) for cell in behind}
    _section(table, "all", [report["all"] for report in reports], reports, ("all", None), starred)
    for axis in axes:
        for index, first in enumerate(reports[0][axis]):
            rows = [report[axis][index] for report in reports]
            place = axis, first[axis]
            _section(table, label(*place), rows, reports, place, starred)
    return table


def still_line(name: str, still: Mapping[str, float]) -> str:
    """What noise alone becomes."""
    return (
        f"{name}, still clips with noise of {still['sigma']:g}, x{still['factor']:g}: noise gain "
        f"{still['noise_gain']:.2f}, flicker {still['flicker']:.2f} grey levels (input "
        f"{still['input_flicker']:.2f}), {1000 * still['seconds']:.0f} ms a frame of 256 x 256"
    )


def vibration_table(result: Report) -> Table:
    """One vibration, before and after."""
    from rich.table import Table

    place = ",".join(map(str, result["at"]))
    table = Table("", title=f"{result['magnifier']}, x{result['factor']:g}, at {place}")
    for name in ("tone, Hz", "amplitude, px", "likeness, lowest"):
        table.add_column(name, justify="right")
    for when in ("before", "after"):
        tone, amplitude = result[f"tone_{when}"], result[f"amplitude_{when}"]
        likeness = result[f"likeness_{when}"]
        table.add_row(when, f"{tone:.2f}", f"{amplitude:.3f}", f"{likeness:.3f}")
    table.caption = (
        f"along {result['axis']}: the tone is off by {result['tone_error']:+.2f} Hz, "
        f"the amplitude grew {result['growth']:.2f} times"
    )
    return table


def label(axis: str, value: float) -> str:
    """A value of an axis, as a row is called."""
    if axis == "displacement":
        return f"{value:.2g} px"
    return f"x{value:g}" if axis == "factor" else f"noise {value:.2g}"


def _section(
    table: Table,
    title: str,
    rows: Sequence[Mapping[str, float]],
    reports: Sequence[Report],
    place: tuple[str, float | None],
    starred: set[tuple[str, float | None, str]],
) -> None:
    for index, (row, report) in enumerate(zip(rows, reports, strict=True)):
        marks = ["*" if not index and (*place, m) in starred else "" for m in _MEASURES]
        gain, ssim, region = (f"{row[m]:.3f}{s}" for m, s in zip(_MEASURES, marks, strict=True))
        near = f"{100 * row['near']:.0f} %"
        table.add_row("" if index else title, report["name"], gain, near, ssim, region)
    left = rows[0]
    untouched = f"{left['input_ssim']:.3f}", f"{left['input_region_ssim']:.3f}"
    table.add_row("", "input", "", "", *untouched, end_section=True)


def _cells(row: Mapping[str, float]) -> list[str]:
    names = ("ssim", "region_ssim", "input_ssim", "input_region_ssim")
    share = f"{100 * row['near']:.0f} %"
    return [f"{row['cases']:.0f}", f"{row['gain']:.3f}", share, *(f"{row[n]:.3f}" for n in names)]
