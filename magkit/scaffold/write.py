"""Fills the templates: files that end in .txt, whose texts name what is filled in: $name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from string import Template

from magkit.errors import MagkitError
from magkit.runtime.files import atomic_path
from magkit.scaffold.names import Kind, Names

TEMPLATES = Path(__file__).parent / "templates"
PACKAGE = "package"
"""The folder of the templates that becomes the package to import."""


def write_package(names: Names, kind: Kind, folder: Path | None = None) -> Path:
    """Write a package, whole or not at all.

    Args:
        names: what it is called.
        kind: what it provides.
        folder: where; None: a folder called as the distribution, in the current one.

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
    """Yield where a file of the package stands, and its text."""
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
