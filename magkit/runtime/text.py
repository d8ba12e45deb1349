"""JSON, TOML and text files of any origin, read with a limit of size."""

from __future__ import annotations

import codecs
import json
import tomllib
from pathlib import Path
from typing import Any

from magkit.errors import MagkitError, UsageError

MAX_JSON_BYTES = 256 << 20  # of a file

MALFORMED = (LookupError, TypeError, ValueError, AttributeError, OverflowError)
"""Exceptions of reading a record whose entries are missing or of wrong types.

int() raises OverflowError for Infinity, which Python accepts in JSON.
"""


def json_object(text: str | bytes, name: str, hint: str = "") -> dict[str, Any]:
    """Return the JSON object that a text holds; bytes in UTF-8, UTF-16 or UTF-32.

    Args:
        text: JSON.
        name: of the text, for messages.
        hint: of the error.

    Raises:
        MagkitError: it is no JSON object.
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
        MagkitError: the file can't be read, exceeds `MAX_JSON_BYTES`, or holds something else.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_JSON_BYTES + 1)
    except OSError as error:
        raise MagkitError(f"{path} can't be read: {error.strerror or error}", hint) from error
    if len(content) > MAX_JSON_BYTES:
        raise MagkitError(f"{path} is longer than {MAX_JSON_BYTES} bytes", hint)
    return json_object(content, str(path), hint)


MAX_TEXT_BYTES = 1 << 20
# UTF-32's mark begins with that of UTF-16.
_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def decode_text(data: bytes) -> str:
    """Decode UTF-8, or UTF-16 or UTF-32 with a byte order mark.

    Raises:
        ValueError: it is no text; the message names the line.
    """
    encoding = next((name for mark, name in _BOMS.items() if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
        strange = text.find("\0")  # UTF-16 without a mark, or no text at all
        before = text[:strange]
    except UnicodeDecodeError as error:
        strange, before = error.start, error.object[: error.start].decode(encoding, "replace")
    if strange < 0:
        return text
    line = before.count("\n") + 1
    raise ValueError(f"line {line} holds bytes that are no text: save the file as UTF-8")


def read_toml(path: Path) -> dict[str, Any]:
    """Return the table of a TOML file.

    Raises:
        UsageError: it can't be read, is larger than 1 MB, or is no TOML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"'{path}' can't be read: {error.strerror}") from error
    if len(data) > MAX_TEXT_BYTES:
        raise UsageError(f"'{path}' is too large for a table of settings")
    try:
        return tomllib.loads(decode_text(data))
    except ValueError as error:
        raise UsageError(f"'{path}' is not TOML: {error}") from error
    except RecursionError as error:
        raise UsageError(f"'{path}' is nested too deeply to be read") from error
