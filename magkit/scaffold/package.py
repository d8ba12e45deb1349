"""Names and writes a new plugin package, from templates: .txt files whose $names are filled in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from string import Template

from magkit.errors import MagkitError, UsageError
from magkit.plugins import Kind, Registry
from magkit.runtime.files import atomic_path

PREFIX = "magkit-"
LONGEST = 64  # characters
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
TEMPLATES = Path(__file__).parent / "templates"
PACKAGE = "package"
"""The template folder that becomes the Python package."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a plugin package, derived from one such as "edge-flow".

    Attributes:
        name: The name of its spec, for `--method` and the like.
    """

    name: str

    @property
    def distribution(self) -> str:
        """The distribution's name: "magkit-edge-flow"."""
        return PREFIX + self.name

    @property
    def module(self) -> str:
        """The Python package's name: "magkit_edge_flow"."""
        return self.distribution.replace("-", "_")

    @property
    def title(self) -> str:
        """The prefix of its classes: "EdgeFlow"."""
        return "".join(part.capitalize() for part in self.name.split("-"))

    @classmethod
    def of(cls, text: str) -> Names:
        """The names of a package "magkit-edge-flow"; the prefix may be left out.

        Raises:
            UsageError: It is too long, or no valid name.
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
    """Raise UsageError if a distribution of that name is installed: pip would replace it."""
    if installed(names.distribution):
        raise UsageError(
            f"a package {names.distribution} is installed, whose place the new one would take",
            f"choose another name, such as {names.distribution}-2",
        )


def installed(distribution: str) -> bool:
    """Whether a distribution of this name is installed, a plugin or not."""
    return any(metadata.distributions(name=distribution))


def refuse_taken(names: Names, kind: Kind, registry: Registry) -> None:
    """Raise UsageError if a built-in or an installed plugin has a spec of that kind and name."""
    for plugin in registry.plugins:
        for spec in plugin.specs:
            if (spec.kind, spec.name) == (kind, names.name):
                owner = "magkit itself" if plugin.builtin else str(plugin)
                raise UsageError(
                    f"{owner} has a {kind} '{names.name}', which a plugin can't take the place of",
                    f"choose another name, such as {names.distribution}-2",
                )


def write_package(names: Names, kind: Kind, folder: Path | None = None) -> Path:
    """Write a package, whole or not at all.

    Args:
        names: its names.
        kind: the kind of its spec.
        folder: the destination; None: a folder named as the distribution, in the current one.

    Returns:
        The folder.

    Raises:
        MagkitError: the folder exists, or can't be written.
    """
    folder = folder or Path(names.distribution)
    if folder.exists() or folder.is_symlink():
        raise MagkitError(f"{folder} exists", "--output names another folder")
    with atomic_path(folder, kind="folder") as temporary:
        for place, text in filled(names, kind):
            path = temporary / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return folder


def filled(names: Names, kind: Kind) -> Iterator[tuple[Path, str]]:
    """Yield the path of each file in the package, and its text."""
    words = {
        "distribution": names.distribution,
        "module": names.module,
        "name": names.name,
        "title": names.title,
        "kind": kind,
    }
    for root in (TEMPLATES / "all", TEMPLATES / kind):
        for path in sorted(each for each in root.rglob("*.txt") if each.is_file()):
            first, *rest = path.relative_to(root).with_suffix("").parts
            place = Path(names.module if first == PACKAGE else first, *rest)
            yield place, Template(path.read_text(encoding="utf-8")).substitute(words)
