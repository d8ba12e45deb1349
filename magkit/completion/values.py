"""`magkit _values`: the values that complete the last word of a command line, one per line.

`magkit _values -- WORD...` completes anything; the words are those of the line as the shell has
them, up to the cursor. A line of the answer is a value and, after a tab, its description. A line
without a value, tab first, asks the shell for paths: "files" or "folders".

`magkit _values KIND [ARGUMENT...] -- WORD...` lists the values of one kind; scripts that magkit 0.1
printed ask so.

Answers must be fast and silent: neither typer nor torch is imported once the tree of commands is
cached, and any error means that there is nothing to offer.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, suppress
from typing import TYPE_CHECKING, Any, cast

from magkit.completion.cache import load_table, save_table
from magkit.completion.sources import SOURCES, Row

if TYPE_CHECKING:
    from magkit.completion.commands import Command, Option, Values

MAX_DESCRIPTION = 100
"""Characters of a description at most."""


def main(arguments: Sequence[str], root: Callable[[], Any] | None = None) -> int:
    """Prints the values that are asked for; returns the exit code.

    Args:
        arguments: What follows `_values`.
        root: Returns the command of Typer that holds all others; called where no tree is cached.
    """
    # A broken plugin is left out here, whatever else is done about it.
    os.environ.pop("MAGKIT_STRICT_PLUGINS", None)
    try:
        with redirect_stderr(io.StringIO()):
            rows = list(values(arguments, root))
    except Exception:
        return 1
    lines = [f"{value}\t{text}" if text else value for value, text in rows]
    sys.stdout.buffer.write("".join(f"{line}\n" for line in lines).encode())
    return 0


def values(arguments: Sequence[str], root: Callable[[], Any] | None = None) -> Iterator[Row]:
    """Yields values and descriptions, both printable and on one line.

    Args:
        arguments: As of `main`: a kind and its arguments or nothing, `--`, the words of the line.
        root: As of `main`.

    Raises:
        KeyError: There is no such kind.
    """
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    words = [plain(word) for word in arguments[cut + 1 :]]
    rows = SOURCES[arguments[0]](arguments[1:cut], words) if cut else complete(words, tree(root))
    for value, text in rows:
        # A name that isn't decodable, or takes more than one line, can't be offered.
        if value.isprintable():
            short = text if len(text) <= MAX_DESCRIPTION else f"{text[: MAX_DESCRIPTION - 3]}..."
            yield value, "".join(c if c.isprintable() else " " for c in short)


def tree(root: Callable[[], Any] | None) -> Command:
    """Returns the tree of commands, from the cache or made of `root`."""
    table = load_table("commands")
    if table is None:
        if root is None:
            raise LookupError("no tree of commands is cached")
        from magkit.completion.commands import command_tree

        table = cast("dict[str, Any]", command_tree(root()))
        save_table("commands", table)
    return cast("Command", table)


def complete(words: Sequence[str], command: Command) -> Iterator[Row]:
    """Yields what can take the place of the last word; of `--flag=value`, of its value alone.

    Args:
        words: Of the line up to the cursor, the program's name first.
        command: The tree of commands.
    """
    *before, word = words[1:]
    command, option, given, place = _parsed(before, command)
    options, arguments = _by_flag(command), command["arguments"]
    flag, equals, _ = word.partition("=")
    if option:
        yield from _offered(option["values"], words)
    elif equals and flag.startswith("--"):
        yield from _offered(options[flag]["values"] if flag in options else None, words)
    elif word.startswith("-") or not (word or command["commands"] or arguments):
        yield from ((name, one["help"]) for name, one in options.items() if name not in given)
    elif command["commands"] and not place:
        yield from ((name, child["help"]) for name, child in command["commands"].items())
    elif place < len(arguments):
        yield from _offered(arguments[place]["values"], words)
    elif arguments and arguments[-1]["repeats"]:
        yield from _offered(arguments[-1]["values"], words)


def _parsed(words: Sequence[str], command: Command) -> tuple[Command, Option | None, set[str], int]:
    """Returns the command that words lead to, and its state after them.

    The state: the option that a value must follow, the flags that can't be given again, and how
    many positional arguments there are.
    """
    option, given, place = None, set[str](), 0
    options = _by_flag(command)
    for word in words:
        flag, equals, _ = word.partition("=")
        if option:
            option = None
        elif flag in options:
            found = options[flag]
            option = found if found["values"] is not None and not equals else None
            given.update(() if found["repeats"] else found["flags"])
        elif word in command["commands"]:
            command = command["commands"][word]
            options = _by_flag(command)
        elif not word.startswith("-"):
            place += 1
    return command, option, given, place


def _by_flag(command: Command) -> dict[str, Option]:
    return {flag: option for option in command["options"] for flag in option["flags"]}


def _offered(values: Values | None, words: Sequence[str]) -> Iterator[Row]:
    if values is None:
        return
    if "paths" in values:
        yield "", values["paths"]
    yield from ((word, "") for word in values.get("words", ()))
    if "ask" in values:
        kind, *arguments = values["ask"]
        # Where a kind can't be listed, the others are still offered.
        with suppress(Exception):
            yield from SOURCES[kind](arguments, words)


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
