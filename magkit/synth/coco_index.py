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
import sqlite3
from collections import Counter
from pathlib import Path, PurePosixPath

from magkit.errors import MagkitError
from magkit.runtime.atomic import atomic_path
from magkit.runtime.cache_folder import cache_folder
from magkit.synth.coco_parts import Image, ImageIds, LeftOutError, id_text, real, usable
from magkit.synth.json_stream import BLOCK, Hashed, items
from magkit.synth.storage import first_line, open_place, version

logger = logging.getLogger(__name__)

FORMAT = 2
APPLICATION = 0x6D61676B  # "magk": marks the database as ours
NAMES = ("file_name", "coco_url", "flickr_url")  # of an image's file: the first that is given
LONGEST = 100_000  # pixels: a larger picture's size is not believed
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
    """Return what an index says of itself, and of its instances file.

    `key` and `format`; `sha256`; `annotations`, their number, and `left_out`, a JSON object of the
    reasons why some of them can't be used, with their numbers.
    """
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
        for info in items(file, "images.item"):
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
    lengths = [real(info.get(key)) or 0 for key in ("width", "height")]
    sized = all(1 <= length <= LONGEST for length in lengths)
    width, height = (int(length) if sized else 0 for length in lengths)
    return Image(text, number, name, width, height) if name else None


def _add_objects(database: sqlite3.Connection, location: str, ids: ImageIds) -> dict[str, str]:
    """Store the usable objects, and return facts: the file's sha256, and what was left out."""
    number, total, left_out, digest = 0, 0, Counter[str](), hashlib.sha256()
    with open_place(location) as file:
        hashed = Hashed(file, digest)
        for found in items(hashed, "annotations.item"):
            total += 1
            try:
                image, box, outline = usable(found, ids)
            except LeftOutError as reason:
                left_out[str(reason)] += 1
                continue
            row = number, id_text(found.get("id")), image.number, *box
            text = json.dumps(outline, separators=(",", ":"))
            database.execute("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            database.execute("INSERT INTO outlines VALUES (?, ?)", (number, text))
            number += 1
        while hashed.read(BLOCK):
            pass
    counts = {"annotations": str(total), "left_out": json.dumps(left_out)}
    return {"sha256": digest.hexdigest(), **counts}
