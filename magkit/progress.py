"""How long work tells how far it is, without knowing who listens."""

import os
import sys
from collections.abc import Callable

Progress = Callable[[int, int | None], None]
"""Called with the number of items done, and of items in all or None where that is unknown."""


def silent(_done: int, _total: int | None) -> None:
    """A `Progress` that nobody listens to: the default of functions that report."""


QUIET = "MAGKIT_QUIET"
"""The variable that is 1 while a command is to be quiet."""


def shows_progress() -> bool:
    """Return whether long work is to be shown: on a terminal, unless a command is to be quiet."""
    return sys.stderr.isatty() and os.environ.get(QUIET) != "1"
