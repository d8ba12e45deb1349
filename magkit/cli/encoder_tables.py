"""The tables of what encoders hold and are worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


def encoder_table(report: Mapping[str, Any]) -> Table:
    """What was loaded into a magnifier, group by group."""
    from rich.table import Table

    made = f"{report['method']}, {report['steps']} steps"
    table = Table("", title=f"the encoder {report['path']} ({made})")
    for name in ("tensors", "parameters"):
        table.add_column(name, justify="right")
    table.add_column("")
    for group in report["groups"]:
        said = "loaded" if group["loaded"] else "not loaded"
        about = f"{said}: {group['why']}" if group["why"] else said
        table.add_row(group["name"], str(group["tensors"]), f"{group['parameters']:,}", about)
    table.add_row("loaded in all", "", f"{report['parameters']:,}", "")
    return table


def fitness_table(found: Mapping[str, Any]) -> Table:
    """An encoder's branches beside those of other weights: one row each."""
    from rich.table import Table

    title = f"{found['magnifier']}, {found['method']}, {found['steps']} steps"
    table = Table("branch", "weights", title=title)
    half, one = (found["distances"].index(d) for d in (0.5, 1.0))
    for name in ("along", "linear", "read, px", "colour", "spread", "rank", "dead"):
        table.add_column(name, justify="right")
    for row in sorted(found["rows"], key=lambda row: str(row["branch"])):
        fitness, collapse = row["fitness"], row["collapse"]
        along = 1 - fitness["equivariance"][half] / max(fitness["still"][half], 1e-12)
        table.add_row(
            row["branch"],
            row["weights"],
            f"{along:.2f}",
            f"{fitness['cosine'][one]:.2f}",
            f"{fitness['readout_mae']:.3f}",
            f"{fitness['colour_r2']:.2f}",
            f"{collapse['relative_spread']:.2f}",
            f"{collapse['rank']:.1f}",
            f"{collapse['dead']:.0%}",
        )
    blind = found["rows"][0]["fitness"]["mean_mae"]
    table.caption = (
        "along: 1 moves with the frame by 0.5 px, 0 stays; linear: at 1 px; read: error of the"
        f" displacement, {blind:.3f} for who sees nothing; colour: R2"
    )
    return table
