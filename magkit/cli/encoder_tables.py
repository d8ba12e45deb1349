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
