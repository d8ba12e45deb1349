"""A COCO instances file as a small database that every process opens and none has to parse.

The file of COCO's `train2017` holds 860,000 objects in 450 MB, which as Python objects are
gigabytes. It is read once, an object at a time, into an SQLite file in the cache folder: the usable
objects in the order of the file, their outlines in a table of their own. A changed file, told by
its size and time, gets an index of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import sqlite3
from pathlib import Path, PurePosixPath
from typing import IO, Any

import ijson

from magkit.errors import MagkitError
from magkit.runtime.atomic import atomic_path
from magkit.runtime.cache_folder import cache_folder
from magkit.synth.storage import first_line, open_place, version

logger = logging.getLogger(__name__)

FORMAT = 1
APPLICATION = 0x6D61676B  # "magk": marks the database as ours
MIN_AREA = 400  # square pixels: a smaller object is a smear
LONGEST = 100_000  # pixels: of a larger picture nothing is cut
BLOCK = 1 << 20  # bytes read at once
Sizes = dict[object, tuple[int, int, int]]  # an image's number, width and height by its id
_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE images (number INTEGER PRIMARY KEY, name TEXT, width INTEGER, height INTEGER);
CREATE TABLE objects (number INTEGER PRIMARY KEY, id TEXT, image INTEGER,
                      x REAL, y REAL, width REAL, height REAL);
CREATE TABLE outlines (number INTEGER PRIMARY KEY, segmentation TEXT);
"""


def index_of(location: str) -> Path:
    """Return the index of an instances file, made now if there is none that is sound.

    Args:
        location: the file.

    Raises:
        MagkitError: the file is missing or no COCO instances file, or the index can't be written.
    """
    key = f"{location}\n{version(location)}"
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    stem = PurePosixPath(location.replace("\\", "/")).stem
    path = cache_folder() / "coco" / f"{stem}-{digest}.sqlite"
    if is_sound(path, key):
        return path
    logger.info("indexing %s, once: about a minute for 400 MB", location)
    try:
        with atomic_path(path, overwrite=True) as temporary:
            build(location, temporary, key)
    except MagkitError:
        if not is_sound(path, key):  # otherwise another process was faster, and has it open
            raise
    return path


def is_sound(path: Path, key: str) -> bool:
    """Tell whether a file is a whole index made for the key."""
    if not path.is_file():
        return False
    try:
        with contextlib.closing(connect(path)) as database:
            if database.execute("PRAGMA application_id").fetchone() != (APPLICATION,):
                return False
            if not {"key": key, "format": str(FORMAT)}.items() <= facts(database).items():
                return False
            return bool(database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.Error:
        return False


def connect(path: Path) -> sqlite3.Connection:
    """Open an index for reading; nothing is written, whoever else reads it."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)


def facts(database: sqlite3.Connection) -> dict[str, str]:
    """Return what an index says of itself: key, format, and its instances file's sha256."""
    return dict(database.execute("SELECT name, value FROM facts"))


def build(location: str, path: Path, key: str) -> None:
    """Index an instances file.

    Raises:
        MagkitError: it is missing, or no COCO instances file.
    """
    try:
        with contextlib.closing(sqlite3.connect(path)) as database:
            # The file counts once it is whole: until then nothing must survive a crash.
            database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;")
            database.executescript(_TABLES)
            sizes = _add_images(database, location)
            digest = _add_objects(database, location, sizes)
            said = {"key": key, "format": str(FORMAT), "sha256": digest}
            database.executemany("INSERT INTO facts VALUES (?, ?)", said.items())
            database.execute(f"PRAGMA application_id = {APPLICATION}")
            database.commit()
    except (ijson.JSONError, UnicodeDecodeError, ValueError, OverflowError) as error:
        text = f"{location} is not a COCO instances file: {first_line(error)}"
        raise MagkitError(text) from error
    except sqlite3.Error as error:
        text = f"the index of {location} can't be written to {path.parent}: {error}"
        raise MagkitError(text, "MAGKIT_CACHE names another folder") from error


def _add_images(database: sqlite3.Connection, location: str) -> Sizes:
    """Store the images and return their sizes."""
    sizes: Sizes = {}
    with open_place(location) as file:
        listed = ijson.items(file, "images.item", use_float=True, buf_size=BLOCK)
        for number, info in enumerate(filter(_is_image, listed)):
            # Only the last part of a name counts, which can't lead out of the folder.
            name = PurePosixPath(info["file_name"].replace("\\", "/")).name
            width, height = int(info["width"]), int(info["height"])
            sizes[info["id"]] = number, width, height
            row = number, name, width, height
            database.execute("INSERT INTO images VALUES (?, ?, ?, ?)", row)
    if not sizes:
        raise ValueError("it lists no images")
    return sizes


def _is_image(info: object) -> bool:
    if not isinstance(info, dict) or not isinstance(info.get("id"), int | str):
        return False
    lengths = info.get("width"), info.get("height")
    right = all(isinstance(v, int | float) and 0 < v <= LONGEST for v in lengths)
    return right and isinstance(info.get("file_name"), str)


def _add_objects(database: sqlite3.Connection, location: str, sizes: Sizes) -> str:
    """Store the usable objects and return the file's sha256."""
    number = 0
    with open_place(location) as file:
        hashed = _Hashed(file)
        for found in ijson.items(hashed, "annotations.item", use_float=True, buf_size=BLOCK):
            if isinstance(found, dict) and (box := _usable(found, sizes)):
                image = sizes[found["image_id"]][0]
                row = number, str(found.get("id")), image, *box
                outline = json.dumps(found["segmentation"], separators=(",", ":"))
                database.execute("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                database.execute("INSERT INTO outlines VALUES (?, ?)", (number, outline))
                number += 1
        for _ in iter(lambda: hashed.read(BLOCK), b""):
            pass
    return hashed.digest.hexdigest()


def _usable(found: dict[str, Any], sizes: Sizes) -> tuple[float, ...] | None:
    """Return an object's box; None: a crowd, a tiny one, one cut by the border, or a broken one."""
    area, box, image = found.get("area", 0), found.get("bbox"), found.get("image_id")
    if found.get("iscrowd") or not isinstance(area, int | float) or not area >= MIN_AREA:
        return None
    if not isinstance(found.get("segmentation"), list | dict) or not found["segmentation"]:
        return None
    if not isinstance(image, int | str) or image not in sizes:
        return None
    if not isinstance(box, list) or len(box) != 4:
        return None
    if not all(isinstance(v, int | float) and math.isfinite(v) for v in box):
        return None
    x, y, width, height = (float(v) for v in box)
    _, across, down = sizes[image]
    # An object cut by the border has a straight false edge.
    inside = x > 1 and y > 1 and x + width < across - 1 and y + height < down - 1
    return (x, y, width, height) if inside else None


class _Hashed:
    """A file that is hashed as it is read."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.digest.update(data)
        return data
