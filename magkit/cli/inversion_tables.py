"""The table of an inversion's report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

_COLUMNS = {
    "target_J": "target J",
    "target_F": "F",
    "verifier_J": "verifier J",
    "verifier_F": "F",
    "verifier_score": "sure",
    "verifier_bn": "BN",
    "ssim": "SSIM",
    "colours": "colours",
    "steps": "steps",
    "seconds": "seconds",
}


def inversion_table(report: Mapping[str, Any]) -> Table:
    """A row for each clip and for what needs no inversion, as the judges see them.

    J and F: overlap and contours (DAVIS) of what full detection finds. BN: the verifier's distance
    of statistics. SSIM to the real frame; colours: difference of histograms in the mask.
    """
    from rich.table import Table

    table = Table("", "", title=f"what is seen in it; verifier: {report['verifier']}")
    columns = _present(report)
    for name in columns:
        table.add_column(_COLUMNS.get(name, name.replace("_", " ")), justify="right")
    table.add_column("flicker", justify="right")
    for clip, found in report["clips"].items():
        flicker = found["flicker"]
        table.add_row(clip, "made", *_cells(found["mean"], columns), _number(flicker["made"]))
        for name, scores in found["controls"].items():
            still = {"real frame": _number(flicker["real"]), "flat mask": "0"}.get(name, "")
            table.add_row("", name, *_cells(scores, columns), still)
        table.add_section()
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
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
