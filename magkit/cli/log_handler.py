"""Shows the log of the library and of what it imports in the command line's own look."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from magkit.cli.output import Output


class _Handler(logging.Handler):
    """Warnings and errors are shown in any case, notes without --quiet, the rest with --verbose."""

    def __init__(self, out: Output) -> None:
        super().__init__()
        self._out = out
        self._warned: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._show(record)
        except Exception:
            self.handleError(record)

    def _show(self, record: logging.LogRecord) -> None:
        text = self.format(record) if self._out.verbose else record.getMessage()
        if record.levelno < logging.INFO:
            self._out.detail(text)
        elif record.levelno < logging.WARNING:
            self._out.note(text)
        elif text not in self._warned:  # every worker that meets a broken file warns of it
            self._warned.add(text)
            self._out.warn(text)


@contextmanager
def log_shown(out: Output) -> Iterator[None]:
    """Show what is logged for as long as the block lasts, as --quiet and --verbose ask.

    Of magkit's loggers that is everything from INFO on, or from DEBUG on with --verbose; others
    keep their levels, which by default leave warnings and errors.
    """
    root, own, handler = logging.getLogger(), logging.getLogger("magkit"), _Handler(out)
    before = own.level
    root.addHandler(handler)
    own.setLevel(logging.DEBUG if out.verbose else logging.INFO)
    try:
        yield
    finally:
        own.setLevel(before)
        root.removeHandler(handler)
