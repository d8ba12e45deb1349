"""The index of a COCO instances file: an SQLite database that all processes share."""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import json
import logging
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

import ijson

from magkit.errors import MagkitError
from magkit.runtime.files import atomic_path, cache_folder
from magkit.synth.coco_annotations import (
    Image,
    ImageIds,
    UnusableError,
    finite_number,
    id_text,
    parse_annotation,
)
from magkit.synth.storage import first_line, open_place, version

BLOCK = 1 << 20  # bytes read at once
_LITERAL = re.compile(rb'"(?:[^"\\]|\\.)*+"?|-?Infinity|NaN', re.DOTALL)
_STRING = re.compile(rb'(?:[^"\\]|\\.)*+"?', re.DOTALL)  # the rest of one
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_CUT = b"NaInfity-\\"  # what a literal or an escape may be made of where a block ends


class Readable(Protocol):
    """A binary stream."""

    def read(self, size: int, /) -> bytes: ...


def parse_items(file: Readable, prefix: str) -> Iterator[Any]:
    """Yield the items of a JSON file at an ijson prefix, such as `images.item`.

    Raises:
        ValueError: it isn't valid JSON; the message says what is wrong with it.
    """
    try:
        yield from ijson.items(_Finite(_Utf8(file)), prefix, use_float=True, buf_size=BLOCK)
    except ijson.JSONError as error:
        raise ValueError(_parser_message(error)) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"its text is damaged: {error.reason}") from error


def _parser_message(error: ijson.JSONError) -> str:
    """Return a plain message for an error of the parser, yajl."""
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
    """Converts a JSON file of any encoding to UTF-8 without a byte order mark."""

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
    """Replaces NaN and Infinity outside of strings by null in UTF-8 JSON."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._rest = b""
        self._inside = False  # of a string

    def read(self, size: int) -> bytes:
        if not size:  # ijson probes for bytes
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


class HashingReader:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes], digest: Any) -> None:
        self.file, self.digest = file, digest

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        data = self.file.read(size)
        self.digest.update(data)
        return data


logger = logging.getLogger(__name__)

FORMAT = 3
APPLICATION = 0x6D61676B  # "magk": marks the database as ours
NAMES = ("file_name", "coco_url", "flickr_url")  # of an image's picture: the first that is given
MAX_SIDE = 100_000  # pixels; larger stated sizes are ignored
_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE images (number INTEGER PRIMARY KEY, name TEXT, width INTEGER, height INTEGER);
CREATE TABLE objects (number INTEGER PRIMARY KEY, id TEXT, image INTEGER,
                      x REAL, y REAL, width REAL, height REAL);
CREATE TABLE outlines (number INTEGER PRIMARY KEY, segmentation BLOB);
"""


def index_of(location: str) -> Path:
    """Return the index of an instances file, built if there is no valid one.

    Args:
        location: the file.

    Raises:
        MagkitError: the file is missing or no COCO instances file, or the index can't be written.
    """
    key = f"{location}\n{version(location)}"
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    stem = PurePosixPath(location.replace("\\", "/")).stem
    path = cache_folder() / "coco" / f"{stem}-{digest}.sqlite"
    if is_valid_index(path, key):
        return path
    logger.info("indexing %s, once: about a minute for 400 MB", location)
    try:
        with atomic_path(path, overwrite=True) as temporary:
            build(location, temporary, key)
    except MagkitError:
        if not is_valid_index(path, key):  # built by another process meanwhile
            raise
    return path


def is_valid_index(path: Path, key: str) -> bool:
    """Tell whether a file is a complete index with this key."""
    if not path.is_file():
        return False
    try:
        with contextlib.closing(connect(path)) as database:
            if database.execute("PRAGMA application_id").fetchone() != (APPLICATION,):
                return False
            if not {"key": key, "format": str(FORMAT)}.items() <= metadata(database).items():
                return False
            return bool(database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.Error:
        return False


def connect(path: Path) -> sqlite3.Connection:
    """Open an index read-only."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)


def metadata(database: sqlite3.Connection) -> dict[str, str]:
    """Return the metadata of an index.

    `key` and `format`; `sha256`; `annotations`, their number, and `left_out`, a JSON object of
    the reasons why some are unusable, with counts.
    """
    return dict(database.execute("SELECT name, value FROM facts"))


def build(location: str, path: Path, key: str) -> None:
    """Index an instances file.

    Raises:
        MagkitError: it is missing, or no COCO instances file.
    """
    try:
        with contextlib.closing(sqlite3.connect(path)) as database:
            # The temporary file need not survive a crash.
            database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
            database.executescript(_TABLES)
            ids = _add_images(database, location)
            found = _add_objects(database, location, ids)
            said = {"key": key, "format": str(FORMAT), **found}
            database.executemany("INSERT INTO facts VALUES (?, ?)", said.items())
            database.execute(f"PRAGMA application_id = {APPLICATION}")
            database.commit()
    except ValueError as error:
        text = f"{location} is not a COCO instances file: {first_line(error)}"
        raise MagkitError(text) from error
    except sqlite3.Error as error:
        text = f"the index of {location} can't be written to {path.parent}: {error}"
        raise MagkitError(text, "MAGKIT_CACHE names another folder") from error


def _add_images(database: sqlite3.Connection, location: str) -> ImageIds:
    """Store the images and return them by their ids."""
    ids, listed = ImageIds(), 0
    with open_place(location) as file:
        for info in parse_items(file, "images.item"):
            listed += 1
            if (image := _image(info, ids.count)) and ids.add(image):
                row = image.number, image.name, image.width or None, image.height or None
                database.execute("INSERT INTO images VALUES (?, ?, ?, ?)", row)
    if not ids.count:
        lacking = f"none of its {listed} images has an id and one of {', '.join(NAMES)}"
        raise ValueError(lacking if listed else "it lists no images")
    return ids


def _image(info: object, number: int) -> Image | None:
    if not isinstance(info, dict) or (text := id_text(info.get("id"))) is None:
        return None
    given = (info.get(key) for key in NAMES)
    name = next((name for name in given if isinstance(name, str) and name.strip()), None)
    lengths = [finite_number(info.get(key)) or 0 for key in ("width", "height")]
    sized = all(1 <= length <= MAX_SIDE for length in lengths)
    width, height = (int(length) if sized else 0 for length in lengths)
    return Image(text, number, name, width, height) if name else None


def _add_objects(database: sqlite3.Connection, location: str, ids: ImageIds) -> dict[str, str]:
    """Store the usable objects; return the file's sha256, and counts of unusable ones."""
    number, total, left_out, digest = 0, 0, Counter[str](), hashlib.sha256()
    with open_place(location) as file:
        hashed = HashingReader(file, digest)
        for found in parse_items(hashed, "annotations.item"):
            total += 1
            try:
                image, box, segmentation = parse_annotation(found, ids)
            except UnusableError as reason:
                left_out[str(reason)] += 1
                continue
            row = number, id_text(found.get("id")), image.number, *box
            database.execute("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            database.execute("INSERT INTO outlines VALUES (?, ?)", (number, segmentation))
            number += 1
        while hashed.read(BLOCK):
            pass
    counts = {"annotations": str(total), "left_out": json.dumps(left_out)}
    return {"sha256": digest.hexdigest(), **counts}
