"""Sources from what a command line names: folders of pictures, COCO instances, procedural ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from magkit.errors import MagkitError, UsageError
from magkit.synth.cache import TensorCache
from magkit.synth.files import CocoCutouts, FolderPictures
from magkit.synth.render import Sources
from magkit.synth.shapes import ProceduralCutouts
from magkit.synth.sources import Cutouts, JoinedCutouts, JoinedPictures, Pictures
from magkit.synth.textures import ProceduralPictures

PROCEDURAL = 2048  # textures, and as many objects, where no files are given


def build_sources(
    images: Sequence[Path], objects: Path | None, object_images: Path | None, procedural: int
) -> Sources:
    """Build the sources of scenes; what is left out is found elsewhere or drawn.

    With nothing given there are 2048 procedural textures and objects, which need no file.
    Without `images`, the objects' own pictures are the backgrounds; without `objects`, the objects
    are procedural ones.

    Args:
        images: folders whose pictures are backgrounds.
        objects: a COCO instances file whose objects are cut out.
        object_images: the folder of its pictures; None: found as COCO lays it out, where
            `annotations/instances_train2017.json` stands beside `train2017/`.
        procedural: how many procedural textures and objects to mix in.

    Raises:
        MagkitError: a folder or file is missing, unusable, or names no usable picture.
        UsageError: the options contradict one another.
    """
    if procedural < 0:
        raise UsageError(f"the number of procedural pictures must not be negative: {procedural}")
    if object_images is not None and objects is None:
        raise UsageError("pictures of objects are given, but no objects", "--objects COCO_JSON")
    if objects is not None:
        object_images = object_images or find_object_images(objects)
    if not images and objects is None and procedural == 0:
        procedural = PROCEDURAL
    colours, shapes = TensorCache(), TensorCache()
    folders = list(images) or ([object_images] if object_images else [])
    pictures: list[Pictures] = [FolderPictures(folder, colours) for folder in folders]
    cutouts: list[Cutouts] = []
    if objects is not None and object_images is not None:
        cutouts.append(CocoCutouts(objects, object_images, shapes))
    if procedural:
        pictures.append(ProceduralPictures(procedural, colours))
    if procedural or not cutouts:
        cutouts.append(ProceduralCutouts(procedural or PROCEDURAL, shapes))
    return Sources(JoinedPictures(*pictures), JoinedCutouts(*cutouts))


def find_object_images(objects: Path) -> Path:
    """Find the folder of an instances file's pictures: `images` or one that its name contains.

    `annotations/instances_val2017_part.json` belongs to `val2017/`, beside it or a level higher.

    Raises:
        MagkitError: the file or the folder is missing.
    """
    if not objects.is_file():
        raise MagkitError(f"there is no file {objects}", hint="--objects takes a COCO JSON file")
    places = [objects.parent, objects.resolve().parent.parent]
    folders = [f for place in places for f in sorted(place.iterdir()) if f.is_dir()]
    named = [f for f in folders if f.name in objects.stem.split("_") or f.name == "images"]
    if not named:
        raise MagkitError(
            f"the pictures of {objects} are not found beside it",
            hint="--object-images FOLDER says where they are",
        )
    return named[0]
