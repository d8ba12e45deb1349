"""The progress callback of long operations, and whether to show progress."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int | None], None]
"""Called with the number of items done, and of items in all or None where that is unknown."""


def silent(_done: int, _total: int | None) -> None:
    """A `Progress` that does nothing: the default of functions that report."""


def pass_progress(progress: Progress, number: int, passes: int) -> Progress:
    """Return the progress of pass `number`, from 0, of several over the same items."""

    def report(done: int, total: int | None) -> None:
        before = number * (total or done)
        progress(before + done, None if total is None else passes * total)

    return report


QUIET = "MAGKIT_QUIET"
"""The environment variable that is 1 under --quiet."""


def shows_progress() -> bool:
    """Return whether to show progress: on a terminal, unless under --quiet."""
    return sys.stderr.isatty() and os.environ.get(QUIET) != "1"


SECONDS = 0.2
"""Between two updates of a line of progress."""


@contextmanager
def reported(progress: bool | Progress, label: str) -> Iterator[Progress]:
    """Yield a `Progress`: the one given, one that does nothing, or a line on standard error.

    Args:
        progress: A `Progress`; True for a line; False for none.
        label: What the line begins with.
    """
    if not isinstance(progress, bool):
        yield progress
    elif not progress:
        yield silent
    else:
        line = _Line(label)
        try:
            yield line
        finally:
            line.end()


class _Line:
    """A line that is written over and over; notebooks show it like terminals."""

    def __init__(self, label: str) -> None:
        self._label, self._text, self._next = label, "", 0.0

    def __call__(self, done: int, total: int | None) -> None:
        self._text = f"{self._label}: {done}{'' if total is None else f' of {total}'} frames"
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + SECONDS
            sys.stderr.write(f"\r{self._text}")
            sys.stderr.flush()

    def end(self) -> None:
        """Write the last numbers and end the line."""
        sys.stderr.write(f"\r{self._text}\n" if self._text else "")
