"""JSON objects out of texts and files that may have been edited, cut off or written by others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from magkit.errors import MagkitError

MOST_BYTES = 256 << 20  # of a file

WRONG = (LookupError, TypeError, ValueError, AttributeError, OverflowError)
"""What reading an object raises whose entries are missing, or of other types than they should be.

OverflowError is what int() raises over Infinity, which Python takes for JSON.
"""


def json_object(text: str | bytes, name: str, hint: str = "") -> dict[str, Any]:
    """Return the JSON object that a text holds; bytes in UTF-8, UTF-16 or UTF-32.

    Args:
        text: what is read.
        name: what it is called in a message.
        hint: what to do if it is no JSON object.

    Raises:
        MagkitError: it isn't.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MagkitError(f"{name} is not JSON: {error}", hint) from error
    if not isinstance(found, dict):
        raise MagkitError(f"{name} is not a JSON object", hint)
    return found


def read_json_object(path: Path, hint: str = "") -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Raises:
        MagkitError: the file can't be read, is longer than `MOST_BYTES`, or holds something else.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise MagkitError(f"{path} can't be read: {error.strerror or error}", hint) from error
    if len(content) > MOST_BYTES:
        raise MagkitError(f"{path} is longer than {MOST_BYTES} bytes", hint)
    return json_object(content, str(path), hint)
