"""JSON tables that are cached between processes until something they were made of changes.

Importing the commands or all plugins takes most of a completion's time.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

from magkit.errors import MagkitError
from magkit.runtime.files import cache_folder
from magkit.version import __version__

MAX_AGE = 3600.0
"""Seconds that a table stays valid: a hook may read things that can't be watched from here."""

VARIABLES = ("MAGKIT_PLUGINS", "MAGKIT_DISABLE_PLUGINS")

_IMPORTED_BEFORE = frozenset(sys.modules)


def load_table(name: str) -> dict[str, Any] | None:
    """Returns the table that was saved under a name; None: there is none, or it may be outdated."""
    try:
        path = _path(name)
        age = time.time() - path.stat().st_mtime
        record = json.loads(path.read_bytes())
        if not 0 <= age < record["max_age"]:
            return None
        valid = record["of"] == _environment() and record["files"] == _states(record["files"])
        return dict(record["table"]) if valid else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def save_table(name: str, table: dict[str, Any], max_age: float = MAX_AGE) -> None:
    """Saves a table that depends on the modules imported after this one, if it can be written.

    Args:
        name: The name that `load_table` takes.
        table: JSON data.
        max_age: Seconds that it stays valid.
    """
    imported = [module for key, module in list(sys.modules.items()) if key not in _IMPORTED_BEFORE]
    files = {str(getattr(module, "__file__", None) or "") for module in imported}
    record = {
        "of": _environment(),
        "files": _states({*sys.path, *files} - {""}),
        "max_age": max_age,
        "table": table,
    }

    from magkit.runtime.files import atomic_path

    with (
        suppress(OSError, ValueError, TypeError, MagkitError),
        atomic_path(_path(name), overwrite=True) as temporary,
    ):
        temporary.write_text(json.dumps(record), encoding="utf-8")


def _path(name: str) -> Path:
    # One file per Python environment, so that environments used in turn don't overwrite each other.
    mark = crc32(f"{sys.prefix} {sys.version}".encode(errors="replace"))
    return cache_folder() / f"{name}-{mark:08x}.json"


def _environment() -> dict[str, Any]:
    return {
        "magkit": __version__,
        "prefix": sys.prefix,
        "python": sys.version,
        "path": sys.path,
        "environment": {name: os.environ.get(name) for name in VARIABLES},
    }


def _states(paths: Iterable[str]) -> dict[str, list[int] | None]:
    """Modification time (ns) and size of each file or folder; None: it is missing."""
    return {path: _state(path) for path in paths}


def _state(path: str) -> list[int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - hundreds of them at every TAB
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_size]
