"""Results on standard output; logs, progress and errors on standard error."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magkit.progress import Progress, silent

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


SECONDS_BETWEEN_LINES = 10.0

LONGEST_LEFT = 1000 * 86400.0  # seconds: what would take longer has a wrong total

UNKNOWN_WIDTH = 80  # columns


class Output:
    """A command's output, as --quiet, --verbose and --json ask.

    Within `captured`, libraries print to standard error: standard output has results alone, and
    with --json exactly one JSON object.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False, json: bool = False) -> None:
        from rich.console import Console

        self.quiet = quiet
        self.verbose = verbose
        self.json = json
        self._muted = False
        self._results = Console(file=sys.stdout, highlight=False)
        self._notes = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        for console in (self._results, self._notes):
            # COLUMNS=0 is how some say that they don't know; rich would print nothing.
            if not console.width:
                console.width = UNKNOWN_WIDTH

    @property
    def width(self) -> int:
        """Width of results in columns; 80 where it is unknown."""
        return self._results.width

    @contextmanager
    def captured(self) -> Iterator[None]:
        """Redirects standard output to standard error within the block."""
        with redirect_stdout(sys.stderr):
            yield

    def note(self, text: str) -> None:
        """Prints a message; not with --quiet."""
        if not self.quiet:
            self._notes.print(text, markup=False)

    def detail(self, text: str) -> None:
        """Prints a debug message; only with --verbose."""
        if self.verbose:
            self._notes.print(text, markup=False, style="dim")

    def warn(self, text: str) -> None:
        """Prints a warning, even with --quiet."""
        if not self._muted:
            self._notes.print(f"warning: {text}", markup=False, style="yellow")

    def mute(self) -> None:
        """Prints nothing from now on, not even warnings: another process reports for this one."""
        self.quiet = self.json = self._muted = True

    def show(self, renderable: RenderableType) -> None:
        """Prints a result, a text or a table; not with --json."""
        from rich.text import Text

        if not self.json:
            as_it_stands = isinstance(renderable, str | Text)
            self._results.print(renderable, markup=False, soft_wrap=as_it_stands)

    def write(self, text: str) -> None:
        """Writes a result without formatting or a line break; not with --json."""
        if not self.json:
            self._results.file.write(text)

    @contextmanager
    def progress(self, label: str, unit: str = "frames") -> Iterator[Progress]:
        """Yields a callback that shows progress and the time left.

        A bar on a terminal; elsewhere a line every ten seconds; nothing with --quiet.
        """
        if self.quiet:
            yield silent
        elif self._notes.is_terminal:
            with _bar(self._notes, label, unit) as report:
                yield report
        else:
            yield _Lines(self._notes, label, unit)

    def finish(
        self, result: Mapping[str, Any], *, wrote: Sequence[Path] = (), then: str = ""
    ) -> None:
        """Ends a command: prints its JSON object with --json, else the files and a next step.

        Args:
            result: The JSON object; paths become texts, numbers that aren't finite null.
            wrote: Files and folders that are there now.
            then: What to do next: a command, or a sentence.
        """
        if self.json:
            self._results.file.write(json.dumps(_plain(result), allow_nan=False) + "\n")
            return
        for path in wrote:
            self.note(f"wrote {path}")
        if then:
            self.note(f"next: {then}")


@contextmanager
def _bar(console: Console, label: str, unit: str) -> Iterator[Progress]:
    from rich import progress

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn(unit, markup=False),
        progress.TimeElapsedColumn(),
        progress.TextColumn("left"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console) as bars:
        task = bars.add_task(label, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=_valid_total(done, total))


def _valid_total(done: int, total: int | None) -> int | None:
    """Returns the total; None: it has been exceeded, so that it was a wrong estimate."""
    return None if total is None or done > total else total


class _Lines:
    """Progress for logs: a line every SECONDS_BETWEEN_LINES, with the time left."""

    def __init__(self, console: Console, label: str, unit: str) -> None:
        self._console, self._label, self._unit = console, label, unit
        self._last = time.monotonic()
        self._first: tuple[float, int] | None = None

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        # What was done before, by a process that was stopped, says nothing about this one's speed.
        self._first = self._first or (now, done)
        if now - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last, total = now, _valid_total(done, total)
        count = f"{done}" if total is None else f"{done} of {total}"
        self._console.print(
            f"{self._label}: {count} {self._unit}{self._left(now, done, total)}", markup=False
        )

    def _left(self, now: float, done: int, total: int | None) -> str:
        start, before = self._first or (now, done)
        if not total or done <= before:
            return ""
        seconds = (now - start) / (done - before) * (total - done)
        return f", {timedelta(seconds=round(seconds))} left" if seconds < LONGEST_LEFT else ""


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


class _Handler(logging.Handler):
    """Prints warnings and errors always, INFO without --quiet, DEBUG with --verbose."""

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
def log_printed(out: Output) -> Iterator[None]:
    """Print log records within the block, as --quiet and --verbose ask.

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
