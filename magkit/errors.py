"""The exceptions that reach a user: one sentence each, a hint, and no traceback."""

from collections.abc import Iterable

MOST_LISTED = 20


class MagkitError(Exception):
    """Something went wrong that the user can understand, and often mend.

    Args:
        message: One sentence that names what is wrong: the path, the value, the plugin.
        hint: What to do about it, or an empty string.
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
    """The command line, an option or a configuration file asks for something impossible."""

    exit_code = 2


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the likeliest of the known words, and all of them where they are few."""
    names = list(known)
    if not names:
        return "there are none"
    listed = ", ".join(names[:MOST_LISTED]) + (", ..." if len(names) > MOST_LISTED else "")
    return f"{nearest(word, names)} known: {listed}".lstrip()


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names the likeliest of the known words alone; empty where none is likely."""
    from difflib import get_close_matches  # not worth its time until something is wrong

    close = get_close_matches(word, known, n=1)
    return f"did you mean '{close[0]}'?" if close else ""
