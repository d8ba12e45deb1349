"""The progress callback of long operations, and whether to show progress."""

import os
import sys
from collections.abc import Callable

Progress = Callable[[int, int | None], None]
"""Called with the number of items done, and of items in all or None where that is unknown."""


def silent(_done: int, _total: int | None) -> None:
    """A `Progress` that does nothing: the default of functions that report."""


QUIET = "MAGKIT_QUIET"
"""The environment variable that is 1 under --quiet."""


def shows_progress() -> bool:
    """Return whether to show progress: on a terminal, unless under --quiet."""
    return sys.stderr.isatty() and os.environ.get(QUIET) != "1"
