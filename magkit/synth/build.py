"""Sources built from command-line arguments, described as JSON and rebuilt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from magkit.errors import MagkitError, UsageError
from magkit.synth.coco import CocoCutouts
from magkit.synth.listing import check_origin
from magkit.synth.pictures import FileCutouts, FilePictures
from magkit.synth.procedural import ProceduralCutouts, ProceduralPictures
from magkit.synth.render import Sources
from magkit.synth.sources import ConcatCutouts, ConcatPictures, Cutouts, Pictures, TensorCache
from magkit.synth.storage import scheme

PROCEDURAL = 2048  # textures, and as many objects, where no files are given


def build_sources(
    images: Sequence[str],
    objects: Sequence[str] | str | None,
    object_images: str | None,
    procedural: int,
) -> Sources:
    """Build the sources of scenes.

    The default is 2048 procedural textures and objects. Without `images`, the pictures of the
    objects are the backgrounds; without `objects`, the objects are procedural.

    Args:
        images: places of background pictures, as `find_files` takes them.
        objects: COCO instances files (`.json`) whose objects are cut out, and places of pictures
            with transparency; one, several or none.
        object_images: the place of the instances files' pictures; None: found as COCO lays it
            out, where `annotations/instances_train2017.json` stands beside `train2017/`.
        procedural: how many procedural textures and objects to mix in.

    Raises:
        MagkitError: a folder or file is missing, unusable, or names no usable picture.
        UsageError: the options contradict one another.
    """
    named = [objects] if isinstance(objects, str) else list(objects or ())
    if procedural < 0:
        raise UsageError(f"the number of procedural pictures must not be negative: {procedural}")
    outlined = [name for name in named if is_instances(name)]
    if object_images is not None and not outlined:
        raise UsageError("pictures of objects are given, but no objects", "--objects COCO_JSON")
    beside = {name: object_images or find_object_images(name) for name in outlined}
    colours, shapes = TensorCache(), TensorCache()
    places = list(images) or list(dict.fromkeys(beside.values()))
    pictures: list[Pictures] = [FilePictures(place, colours) for place in places]
    cutouts: list[Cutouts] = [
        CocoCutouts(name, beside[name], shapes) if name in beside else FileCutouts(name, shapes)
        for name in named
    ]
    if procedural or not pictures:
        pictures.append(ProceduralPictures(procedural or PROCEDURAL, colours))
    if procedural or not cutouts:
        cutouts.append(ProceduralCutouts(procedural or PROCEDURAL, shapes))
    return Sources(ConcatPictures(*pictures), ConcatCutouts(*cutouts))


def is_instances(location: str) -> bool:
    """Tell whether a location is a COCO instances file, not one of cut-outs."""
    return location.lower().endswith(".json")


def describe(sources: Sources) -> dict[str, Any]:
    """Return a JSON object that describes all parts of sources.

    `{"pictures": [PART, ...], "objects": [PART, ...]}`; a part has `kind`, `location` (absolute;
    none where procedural), `count` and `sha256`, which differs when what the part holds does. Two
    sources of equal hashes and counts, in the same order, give the same scenes.
    """
    return {"pictures": sources.pictures.describe(), "objects": sources.cutouts.describe()}


def rebuild(described: Mapping[str, Any], document: str = "") -> Sources:
    """Build sources from what `describe` returned of them; `changes` tells whether they differ.

    Args:
        described: the description.
        document: where it was read. From elsewhere than this machine it may name only places of
            its own origin, see `magkit.synth.listing`.

    Raises:
        MagkitError: a place is gone or may not be named, or the description isn't one.
    """
    try:
        pictures, objects = described["pictures"], described["objects"]
        images = [part["location"] for part in pictures if part["kind"] != "procedural"]
        files = [part for part in objects if part["kind"] != "procedural"]
        names = [part["location"] for part in files]
        beside = {part["images"]["location"] for part in files if "images" in part}
        # Mixed in, procedural ones stand on both sides; on one alone, they stand in for nothing.
        drawn = [p["count"] for p in pictures if p["kind"] == "procedural" and p in objects]
        for place in (*images, *names, *beside):
            check_origin(place, document)
    except (KeyError, TypeError) as error:
        raise MagkitError(f"this is no description of sources: {error}") from error
    # Of several folders each was found beside its file.
    one = beside.pop() if len(beside) == 1 else None
    return build_sources(images, names, one, drawn[0] if drawn else 0)


def changes(described: Mapping[str, Any], sources: Sources) -> list[str]:
    """Return a sentence for each part of `sources` that isn't what was described."""
    found, now = [], describe(sources)
    for role in ("pictures", "objects"):
        for part in described.get(role, ()):
            if part not in now[role]:
                where = part.get("location", part["kind"])
                found.append(f"{where} has changed since it was described")
        if not found and described.get(role) != now[role]:
            found.append(f"other {role} were described, or in another order")
    return found


def find_object_images(objects: str) -> str:
    """Find the folder of an instances file's pictures: `images` or one that its name contains.

    `annotations/instances_val2017_part.json` belongs to `val2017/`, beside it or a level higher.

    Raises:
        MagkitError: the file or the folder is missing, or the file lies elsewhere.
    """
    hint = "--object-images SRC says where they are"
    if scheme(objects):
        raise MagkitError(f"where the pictures of {objects} lie is not said", hint)
    path = Path(objects)
    if not path.is_file():
        raise MagkitError(f"there is no file {path}", "--objects takes a COCO JSON file")
    places = [path.parent, path.resolve().parent.parent]
    folders = [f for place in places for f in sorted(place.iterdir()) if f.is_dir()]
    named = [f for f in folders if f.name in path.stem.split("_") or f.name == "images"]
    if not named:
        raise MagkitError(f"the pictures of {path} are not found beside it", hint)
    return str(named[0])
