"""Exceptions with a message and a hint for the user, shown without a traceback."""

from collections.abc import Iterable

MOST_LISTED = 20


class MagkitError(Exception):
    """An error that the user can understand, and often fix.

    Args:
        message: One sentence that names the faulty path, value or plugin.
        hint: How to fix it, or an empty string.
    """

    exit_code: int = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type["MagkitError"], tuple[str, str]]:
        # BaseException pickles `args` alone, which would lose the hint between worker processes.
        return type(self), (self.message, self.hint)


class UsageError(MagkitError):
    """An invalid command line, option or configuration file."""

    exit_code = 2


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint with the closest known word, and the first `MOST_LISTED` of all."""
    names = list(known)
    if not names:
        return "there are none"
    listed = ", ".join(names[:MOST_LISTED]) + (", ..." if len(names) > MOST_LISTED else "")
    return f"{nearest(word, names)} known: {listed}".lstrip()


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint with the closest known word; empty where none is close."""
    from difflib import get_close_matches  # not worth its time until something is wrong

    close = get_close_matches(word, known, n=1)
    return f"did you mean '{close[0]}'?" if close else ""
