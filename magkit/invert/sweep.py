"""Settings that vary: several values of one, and tables by video and frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from magkit.errors import UsageError, did_you_mean
from magkit.invert.settings import setting_names
from magkit.options import key_values
from magkit.runtime.text_file import read_toml

MOST_VALUES = 100


def swept(texts: Sequence[str]) -> dict[str, list[str]]:
    """Read KEY=A,B,... texts.

    Raises:
        UsageError: a text is something else, or a value is given twice.
    """
    found: dict[str, list[str]] = {}
    for key, values in key_values(texts, setting_names()).items():
        if key not in setting_names():
            raise UsageError(f"there is no setting '{key}'", did_you_mean(key, setting_names()))
        listed = [value.strip() for value in values.split(",")]
        if "" in listed or len(set(listed)) < len(listed):
            raise UsageError(
                f"'{key}={values}' is not of the form KEY=A,B,...", "such as bn=0.1,1,10"
            )
        if len(listed) > MOST_VALUES:
            raise UsageError(
                f"'{key}' is swept over {len(listed)} values, of at most {MOST_VALUES}"
            )
        found[key] = listed
    return found


def read_tables(path: Path) -> dict[str, Mapping[str, Any]]:
    """Read a TOML file of settings by video, and of frames under "frames".

        [bear]
        bn = 0.5
        [bear.frames."10-19"]
        var_l1 = 0.1

    Raises:
        UsageError: it can't be read, is no TOML, or has another shape.
    """
    tables = read_toml(path)
    for video, table in tables.items():
        frames = table.get("frames", {}) if isinstance(table, dict) else None
        if not isinstance(frames, dict) or not all(isinstance(t, dict) for t in frames.values()):
            raise UsageError(
                f"{path}: '{video}' is no table of settings",
                'the form is [bear] bn = 0.5, and [bear.frames."10-19"] for single frames',
            )
    return tables
