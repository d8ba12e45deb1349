"""The table of an inversion's report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

# Of two lines each, so that all of them find room on a terminal.
_COLUMNS = {
    "target_J": "target\nJ",
    "target_F": "\nF",
    "verifier_J": "verifier\nJ",
    "verifier_F": "\nF",
    "verifier_score": "\nsure",
    "verifier_bn": "\nBN",
    "ssim": "\nSSIM",
    "colours": "\ncolour",
    "seconds": "\ns",
}


def inversion_table(report: Mapping[str, Any]) -> Table:
    """A row for each clip and for what needs no inversion, as the judges see them.

    J and F: overlap and contours (DAVIS) of what full detection finds. BN: the verifier's distance
    of statistics. SSIM to the real frame; colour: difference of histograms in the mask; s: seconds
    a frame took.
    """
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"what is seen in it; verifier: {report['verifier']}",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    table.add_column("", overflow="fold")
    columns = _present(report)
    for name in columns:
        header = _COLUMNS.get(name, name.replace("_", "\n"))
        table.add_column(header, justify="right")
    table.add_column("\nflicker", justify="right")
    for clip, found in report["clips"].items():
        flicker = found["flicker"]
        table.add_row(clip, style="bold")
        table.add_row("made", *_cells(found["mean"], columns), _number(flicker["made"]))
        for name, scores in found["controls"].items():
            still = {"real frame": _number(flicker["real"]), "flat mask": "0"}.get(name, "")
            table.add_row(name, *_cells(scores, columns), still)
        table.add_section()
    if len(report["clips"]) > 1:
        table.add_row("all", style="bold")
        table.add_row("made", *_cells(report["mean"], columns))
    return table


def _present(report: Mapping[str, Any]) -> list[str]:
    """Which measures there are; several targets have columns of their own."""
    names = dict.fromkeys(name for clip in report["clips"].values() for name in clip["mean"])
    several = [name for name in names if name.startswith("target") and name not in _COLUMNS]
    own = [name for name in several if name.endswith("_J")]
    return own + [name for name in _COLUMNS if name in names]


def _cells(scores: Mapping[str, float], columns: list[str]) -> list[str]:
    return [_number(scores.get(name)) for name in columns]


def _number(value: float | None) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.0f}"
