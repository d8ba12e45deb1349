"""The table of a report on pictures of classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

MOST_ROWS = 40  # of classes: those that are recognised least


def class_table(report: Mapping[str, Any]) -> Table:
    """A row for each class: the part of its pictures that each judge takes for it; also of noise.

    Of very many classes those are shown whose pictures are recognised least.
    """
    from rich import box
    from rich.table import Table

    looked = f"; verifier: {report['verifier']}" if report["verifier"] else ""
    title = f"taken for what was asked{looked}"
    # As wide as its title, which would be broken otherwise.
    table = Table(title=title, min_width=len(title), box=box.SIMPLE_HEAD, padding=0)
    table.add_column("", overflow="fold")
    parts = list(report["mean"])
    for part in (*parts, *(f"noise:\n{part}" for part in parts)):
        table.add_column(part, justify="right")
    judge = parts[-1] if parts else ""
    rows = list(report["classes"].items())
    if len(rows) > MOST_ROWS:
        rows = sorted(rows, key=lambda row: row[1].get(judge, 1.0))[:MOST_ROWS]
        table.caption = f"{MOST_ROWS} of {len(report['classes'])} classes: the least recognised"
    for label, found in rows:
        table.add_row(label, *_cells(found, parts), *_cells(found["noise"], parts))
    table.add_section()
    table.add_row(
        "all", *_cells(report["mean"], parts), *_cells(report["noise"], parts), style="bold"
    )
    return table


def _cells(found: Mapping[str, Any], parts: list[str]) -> list[str]:
    return [f"{found[part]:.2f}" if part in found else "" for part in parts]
