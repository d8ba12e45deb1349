"""Text files that people edit: any Unicode encoding that a byte order mark names, else UTF-8."""

from __future__ import annotations

import codecs
import tomllib
from pathlib import Path
from typing import Any

from magkit.errors import UsageError

MOST_BYTES = 1 << 20
# UTF-32's mark begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def decode_text(data: bytes) -> str:
    """Return the text of a file's bytes.

    Raises:
        ValueError: they are no text; the message says where, and what to do.
    """
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
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
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"'{path}' can't be read: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise UsageError(f"'{path}' is too large for a table of settings")
    try:
        return tomllib.loads(decode_text(data))
    except ValueError as error:
        raise UsageError(f"'{path}' is not TOML: {error}") from error
    except RecursionError as error:
        raise UsageError(f"'{path}' is nested too deeply to be read") from error
