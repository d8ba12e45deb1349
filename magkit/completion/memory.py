"""Tables that are kept between processes for as long as nothing that they were made of changes.

Loading all plugins takes most of a completion's time, and a slow one would take it at every TAB.
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

LONGEST = 3600.0
"""Seconds that a table is believed: a hook may look at things that can't be watched from here."""

BRIEF = 60.0
"""The same, of a table that something is missing from, and that may be made whole any time."""

VARIABLES = ("MAGKIT_PLUGINS", "MAGKIT_DISABLE_PLUGINS")

_BEFORE = frozenset(sys.modules)


def recalled(name: str) -> dict[str, Any] | None:
    """The table that was remembered under a name, if it would be made the same today."""
    try:
        path = _path(name)
        age = time.time() - path.stat().st_mtime
        record = json.loads(path.read_bytes())
        if not 0 <= age < record["life"]:
            return None
        fresh = record["of"] == _circumstances() and record["files"] == _marks(record["files"])
        return dict(record["table"]) if fresh else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def remember(name: str, table: dict[str, Any], life: float = LONGEST) -> None:
    """Keeps a table, made of modules imported after this one; does nothing where it can't.

    Args:
        name: What it is asked for by.
        table: Of what JSON knows.
        life: Seconds that it is believed at most.
    """
    loaded = [module for key, module in list(sys.modules.items()) if key not in _BEFORE]
    files = {str(getattr(module, "__file__", None) or "") for module in loaded}
    record = {
        "of": _circumstances(),
        "files": _marks({*sys.path, *files} - {""}),
        "life": life,
        "table": table,
    }

    from magkit.runtime.files import atomic_path

    with (
        suppress(OSError, ValueError, TypeError, MagkitError),
        atomic_path(_path(name), overwrite=True) as temporary,
    ):
        temporary.write_text(json.dumps(record), encoding="utf-8")


def _path(name: str) -> Path:
    # An environment each, so that two that are used in turn don't push each other out.
    mark = crc32(f"{sys.prefix} {sys.version}".encode(errors="replace"))
    return cache_folder() / f"{name}-{mark:08x}.json"


def _circumstances() -> dict[str, Any]:
    return {
        "magkit": __version__,
        "prefix": sys.prefix,
        "python": sys.version,
        "path": sys.path,
        "environment": {name: os.environ.get(name) for name in VARIABLES},
    }


def _marks(paths: Iterable[str]) -> dict[str, list[int] | None]:
    """When each file was changed and how long it is; of a folder, when its entries changed."""
    return {path: _mark(Path(path)) for path in paths}


def _mark(path: Path) -> list[int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_size]
