"""File names that fit: a name has room for 255 bytes, in which a character may take up to four."""

from __future__ import annotations

import os

LONGEST = 255  # bytes of a name, on every file system in common use


def fitted(stem: str, end: str, most: int = LONGEST) -> str:
    """Return `stem + end`, the stem cut between characters where both are longer than `most` bytes.

    Args:
        stem: what may be cut.
        end: what is kept whole, a mark and a suffix.
        most: bytes in all.
    """
    room = max(most - len(os.fsencode(end)), 0)
    whole = os.fsencode(stem)
    return (stem if len(whole) <= room else whole[:room].decode(errors="ignore")) + end
