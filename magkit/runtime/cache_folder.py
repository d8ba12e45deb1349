"""Where files are kept that save work and can be made again."""

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """Return magkit's folder for such files, which need not exist yet.

    `MAGKIT_CACHE` names it; without it, it is `magkit` in the user's cache folder.
    """
    if chosen := os.environ.get("MAGKIT_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "magkit"
