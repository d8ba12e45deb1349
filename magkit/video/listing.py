"""The pictures of a folder, in natural order."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

from magkit.video.kinds import SUFFIXES, kind_by_suffix


def list_frames(folder: Path, pattern: str = "*") -> list[Path]:
    """The pictures of a folder, in natural order; hidden files are left out.

    Args:
        folder: Where they are.
        pattern: A glob that their names match, in any case.
    """
    found = (path for path in _files(folder, pattern) if path.suffix.lower() in SUFFIXES)
    return sorted(found, key=natural_order)


def list_unread(folder: Path, pattern: str = "*") -> dict[Path, str]:
    """The pictures of a folder whose kinds aren't read as frames, and what they are."""
    kinds = {path: kind_by_suffix(path) for path in _files(folder, pattern)}
    return {path: kinds[path] or "" for path in sorted(kinds, key=natural_order) if kinds[path]}


def _files(folder: Path, pattern: str) -> list[Path]:
    wanted = pattern.lower()
    named = (p for p in folder.iterdir() if fnmatchcase(p.name.lower(), wanted))
    return [path for path in named if path.name[0] != "." and path.is_file()]


def natural_order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """A key by which paths are sorted as people count: 2 before 10."""
    parts = re.findall(r"\d+|\D+", path.name.lower())
    key = [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
    return key, path.name
