"""`magkit _values KIND [ARGUMENT...] -- WORD...`: what may stand in one place, a line each.

The words are those of the command line as the shell has them, up to the cursor; the last is the one
that is completed. A line is a value and, behind a tab, what it is. This must answer at once, and
never say anything else: neither typer nor torch is imported, and whatever goes wrong means that
there is nothing to offer.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stderr
from typing import Any

Row = tuple[str, str]

LONGEST = 100
"""Letters of a remark at most."""

FIRST_COUNTS = frozenset({"--target"})
"""Flags that may be repeated, of which `--opt` belongs to the first; of others the last counts."""


def main(arguments: Sequence[str]) -> int:
    """Prints the values that are asked for; returns the exit code."""
    # A plugin that is broken is passed over here, whatever else is made of it.
    os.environ.pop("MAGKIT_STRICT_PLUGINS", None)
    try:
        with redirect_stderr(io.StringIO()):
            rows = list(values(arguments))
    except Exception:
        return 1
    lines = [f"{value}\t{said}" if said else value for value, said in rows]
    sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode())
    return 0


def values(arguments: Sequence[str]) -> Iterator[Row]:
    """Yields values and what they are, both printable and on one line.

    Args:
        arguments: A kind, its own arguments and, behind `--`, the words of the line.

    Raises:
        KeyError: There is no such kind.
    """
    kind, *rest = arguments
    cut = rest.index("--") if "--" in rest else len(rest)
    for value, said in KINDS[kind](rest[:cut], [plain(word) for word in rest[cut + 1 :]]):
        # A name that would need more than one line, or an undecodable one, can't be offered.
        if value.isprintable():
            short = said if len(said) <= LONGEST else f"{said[: LONGEST - 3]}..."
            yield value, "".join(c if c.isprintable() else " " for c in short)


def plain(word: str) -> str:
    """A word without the quotes that a shell has left on it, which may be open still."""
    if not word.startswith(("'", '"')) and "\\" not in word:
        return word
    import shlex

    for text in (word, word + word[0]):
        try:
            parts = shlex.split(text)
        except ValueError:
            continue
        if len(parts) == 1:
            return parts[0]
    return word


def chosen(words: Sequence[str], flag: str, unset: str = "") -> str:
    """The value of a flag that counts on the line, or MAGKIT_<FLAG>, or what it is if unset."""
    given = list(_given(words, flag))
    if given:
        return given[0 if flag in FIRST_COUNTS else -1]
    return os.environ.get(f"MAGKIT_{flag.strip('-').replace('-', '_').upper()}") or unset


def _given(words: Sequence[str], flag: str) -> Iterator[str]:
    for number, word in enumerate(words[:-1]):
        if word == flag and number + 2 < len(words):
            yield words[number + 1]
        elif word.startswith(f"{flag}="):
            yield word.partition("=")[2]


def _names(kind: str) -> Iterator[Row]:
    from magkit.completion.catalogue import provided

    yield from ((name, spec["summary"]) for name, spec in provided()[kind].items())


def _weights(*_: object) -> Iterator[Row]:
    from magkit.completion.catalogue import provided

    yield from ((name, "") for name in provided()["weights"])


def _presets(given: Sequence[str], words: Sequence[str]) -> Iterator[Row]:
    from magkit.completion.catalogue import provided

    methods = provided()["method"]
    name = chosen(words, *given)
    of_any = {preset: "" for method in methods.values() for preset in method["presets"]}
    yield from (methods[name]["presets"] if name else of_any).items()


def _options(given: Sequence[str], words: Sequence[str]) -> Iterator[Row]:
    from magkit.completion.catalogue import provided

    kind, *flag = given
    # A target may have a weight, `NAME=WEIGHT`.
    name = chosen(words, *flag).partition("=")[0]
    yield from _pairs(provided()[kind][name]["options"], words)


def _settings(given: Sequence[str], words: Sequence[str]) -> Iterator[Row]:
    from magkit.completion.catalogue import settings

    yield from _pairs(settings()[given[0]], words)


def _pairs(rows: Iterable[Any], words: Sequence[str]) -> Iterator[Row]:
    """`KEY=`, or `KEY=CHOICE` where a key has been typed already."""
    typed = words[-1] if words else ""
    if typed.startswith("--"):  # --opt=KEY
        typed = typed.partition("=")[2]
    key, equals, _ = typed.partition("=")
    for name, said, choices in rows:
        if not equals:
            yield f"{name}=", said
        elif key.replace("-", "_") == name:
            yield from ((f"{key}={choice}", "") for choice in choices)


def _videos(_: object, words: Sequence[str]) -> Iterator[Row]:
    from pathlib import Path

    from magkit.invert.davis_root import find_davis, video_folders

    given = chosen(words, "--davis")
    root = find_davis(Path(os.path.expandvars(given)).expanduser() if given else None)
    yield from ((path.name, "") for path in video_folders(root))


def _runs(given: Sequence[str], _: object) -> Iterator[Row]:
    from magkit.completion.runs import finished_runs

    yield from ((run, "") for run in finished_runs(given[0]))


KINDS = {
    "magnifiers": lambda *_: _names("magnifier"),
    "methods": lambda *_: _names("method"),
    "options": _options,
    "presets": _presets,
    "runs": _runs,
    "settings": _settings,
    "targets": lambda *_: _names("target"),
    "videos": _videos,
    "weights": _weights,
}
