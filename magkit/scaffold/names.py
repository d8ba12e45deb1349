"""What a new package is called, by pip, by Python and by magkit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from magkit.errors import UsageError
from magkit.plugins import Registry

Kind = Literal["method", "target", "magnifier"]

PREFIX = "magkit-"
LONGEST = 64  # characters
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Names:
    """The names that follow from one, such as "edge-flow".

    Attributes:
        name: What magkit's options are given.
    """

    name: str

    @property
    def distribution(self) -> str:
        """What pip calls it: "magkit-edge-flow"."""
        return PREFIX + self.name

    @property
    def module(self) -> str:
        """What Python imports: "magkit_edge_flow"."""
        return self.distribution.replace("-", "_")

    @property
    def title(self) -> str:
        """How its classes begin: "EdgeFlow"."""
        return "".join(part.capitalize() for part in self.name.split("-"))

    @classmethod
    def of(cls, text: str) -> Names:
        """The names of a package "magkit-edge-flow"; the prefix may be left out.

        Raises:
            UsageError: Pip, Python or magkit could not call anything so.
        """
        name = text.removeprefix(PREFIX)
        if len(text) > LONGEST:
            raise UsageError(f"a name of {len(text)} characters is longer than {LONGEST}")
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{text!r} can't name a package: it takes lower-case letters, digits and hyphens,"
                " a letter first",
                f"such as {PREFIX}{_likely(text)}",
            )
        return cls(name)


def _likely(text: str) -> str:
    words = re.findall("[a-z0-9]+", text.lower().replace("magkit", " "))
    likely = "-".join(words).lstrip("0123456789-")
    return likely or "mine"


def refuse_installed(names: Names) -> None:
    """Does nothing where no distribution is called so.

    Raises:
        UsageError: One is installed, whatever it holds: pip would put the new one in its place.
    """
    if installed(names.distribution):
        raise UsageError(
            f"a package {names.distribution} is installed, whose place the new one would take",
            f"choose another name, such as {names.distribution}-2",
        )


def installed(distribution: str) -> bool:
    """Whether pip has installed something of this name, a plugin or not."""
    return any(metadata.distributions(name=distribution))


def refuse_taken(names: Names, kind: Kind, registry: Registry) -> None:
    """Does nothing where a name is free.

    Raises:
        UsageError: magkit, or another plugin that is installed, has something of this kind and
            name: it couldn't be asked for by its name alone.
    """
    for plugin in registry.plugins:
        for spec in plugin.specs:
            if (spec.kind, spec.name) == (kind, names.name):
                owner = "magkit itself" if plugin.builtin else str(plugin)
                raise UsageError(
                    f"{owner} has a {kind} '{names.name}', which a plugin can't take the place of",
                    f"choose another name, such as {names.distribution}-2",
                )
