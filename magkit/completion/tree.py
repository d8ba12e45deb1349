"""The commands, options and values that a completion script knows of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Paths = Literal["", "files", "folders"]


@dataclass(frozen=True, slots=True)
class Values:
    """What may stand in one place; all that is named is offered together.

    Attributes:
        words: What is known when the script is made.
        ask: The arguments of `magkit _values`, which prints the rest; none: nothing is asked.
        paths: Which paths.
    """

    words: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    paths: Paths = ""


@dataclass(frozen=True, slots=True)
class Option:
    """An option: how it is spelt, and its value, None of a flag."""

    flags: tuple[str, ...]
    help: str
    values: Values | None = None
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Argument:
    """What stands in a place of its own; the last may be given again."""

    name: str
    values: Values
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """A command by its path, `("evaluate", "clip")`; the program itself has none."""

    path: tuple[str, ...]
    help: str
    options: tuple[Option, ...] = ()
    arguments: tuple[Argument, ...] = ()
    commands: tuple[Command, ...] = ()

    @property
    def name(self) -> str:
        """Its last word."""
        return self.path[-1] if self.path else "magkit"

    @property
    def line(self) -> str:
        """How a line that runs it begins: "magkit evaluate clip"."""
        return " ".join(("magkit", *self.path))

    @property
    def takes(self) -> list[str]:
        """The flags that a value follows."""
        return [flag for o in self.options if o.values is not None for flag in o.flags]

    def walk(self) -> Iterator[Command]:
        """Yields the command and all below it, parents first."""
        yield self
        for command in self.commands:
            yield from command.walk()
