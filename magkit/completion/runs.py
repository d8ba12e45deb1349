"""The runs that can be gone on from, without opening them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("runs")
RESULTS = {"pretrain": "model.safetensors", "invert": "report.json"}
"""What is there when a run has come to its end, by its kind."""

LONGEST = 1 << 20
"""Bytes of a record at most; larger ones are none of ours."""


def finished_runs(kind: str) -> Iterator[str]:
    """Yields the folders under `runs/` that hold a finished run of a kind."""
    for folder in sorted(ROOT.iterdir()):
        if (folder / RESULTS[kind]).is_file() and _kind(folder) == kind:
            yield folder.as_posix()


def _kind(folder: Path) -> object:
    try:
        with (folder / "config.json").open("rb") as file:
            text = file.read(LONGEST + 1)
        return None if len(text) > LONGEST else json.loads(text)["kind"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
