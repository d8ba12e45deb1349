"""Large JSON files as a stream of items, whatever their encoding, NaN and Infinity included.

UTF-8, UTF-16 and UTF-32 are told apart by their first bytes, with or without a byte order mark.
NaN and Infinity, which are no JSON but which Python and others write, become null.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any, Protocol

import ijson

from magkit.synth.storage import first_line

BLOCK = 1 << 20  # bytes read at once
_LITERAL = re.compile(rb'"(?:[^"\\]|\\.)*+"?|-?Infinity|NaN', re.DOTALL)
_STRING = re.compile(rb'(?:[^"\\]|\\.)*+"?', re.DOTALL)  # the rest of one
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_CUT = b"NaInfity-\\"  # what a literal or an escape may be made of where a block ends


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes: ...


def items(file: Readable, prefix: str) -> Iterator[Any]:
    """Yield the items of a JSON file at a prefix of ijson's, such as `images.item`.

    Raises:
        ValueError: it isn't valid JSON; the message says what is wrong with it.
    """
    try:
        yield from ijson.items(_Finite(_Utf8(file)), prefix, use_float=True, buf_size=BLOCK)
    except ijson.JSONError as error:
        raise ValueError(_plainly(error)) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"its text is damaged: {error.reason}") from error


def _plainly(error: ijson.JSONError) -> str:
    """Return what is wrong with a file, in place of what the parser, yajl, says of it."""
    said = str(error)
    if "EOF" in said or "ncomplete JSON content" in said:
        return "it is empty, or cut off"
    if "UTF8" in said:
        return "its text is not UTF-8, UTF-16 or UTF-32"
    if said.startswith("b'"):  # a text that can't be decoded
        return "it is not JSON, nor any text"
    lines = said.splitlines()
    if len(lines) < 2:
        return f"it is not valid JSON ({first_line(error)})"
    return f"it is not valid JSON near {lines[1].strip()[:80]!r}"


class _Utf8:
    """A JSON file of any encoding as UTF-8, without a byte order mark."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._begin = b""
        while len(self._begin) < 4 and (more := file.read(4 - len(self._begin))):
            self._begin += more
        name = json.detect_encoding(self._begin)
        self._decoder = None if name == "utf-8" else codecs.getincrementaldecoder(name)()

    def read(self, size: int) -> bytes:
        data, self._begin = self._begin + self._file.read(size), b""
        if self._decoder is None:
            return data
        text = self._decoder.decode(data, final=not data)
        while data and not text:  # a byte order mark, or half of a character
            data = self._file.read(size)
            text = self._decoder.decode(data, final=not data)
        return text.encode()


class _Finite:
    """JSON in UTF-8 with null for NaN and Infinity; what stands in strings stays as it is."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._rest = b""
        self._inside = False  # a string at the end of what was read so far

    def read(self, size: int) -> bytes:
        if not size:  # so ijson asks whether it gets bytes
            return b""
        while True:
            data = self._file.read(size)
            whole = self._rest + data
            ready = whole.rstrip(_CUT) if data else whole
            self._rest = whole[len(ready) :]
            if len(self._rest) > BLOCK:
                raise ValueError("it is not valid JSON: a run of a million letters or signs")
            if ready or not data:
                return self._without_literals(ready)

    def _without_literals(self, data: bytes) -> bytes:
        begin, quotes = self._inside, data
        if b"\\" in data:
            quotes = _ESCAPE.sub(b"", data)
        self._inside ^= bool(quotes.count(b'"') % 2)
        if b"NaN" not in data and b"Infinity" not in data:
            return data
        found = _STRING.match(data) if begin else None
        first = found.end() if found else 0
        return data[:first] + _LITERAL.sub(_null, data[first:])


def _null(found: re.Match[bytes]) -> bytes:
    return found[0] if found[0].startswith(b'"') else b"null"


class Hashed:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes], digest: Any) -> None:
        self.file, self.digest = file, digest

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        data = self.file.read(size)
        self.digest.update(data)
        return data
