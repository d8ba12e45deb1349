"""What tells stored data sets apart, wherever they stand, without reading all their pixels.

A plan says what was to be written, not what lies there; and of a data set by others there is no
plan. All pixels of 100,000 triplets are tens of gigabytes, so a mark covers

- what is said of all scenes: the index, the offsets, or the names and sizes of all pictures, which
  are read or listed at once. PNGs of other pixels hardly ever are as long, and none of magkit's
  layouts pads them;
- the content of `SAMPLED` scenes at even distances, the first and the last among them: data sets
  that differ throughout differ there, whatever their sizes.

What escapes is a picture between those scenes that was changed by hand and kept its length.

Of the files that scenes are rendered of, `describe` hashes all names and sizes. Formats without
compression have the same size whatever they show, so a sample of pixels is hashed here as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from magkit.synth.render import Sources

SAMPLED = 16  # scenes: at most 80 files, a few seconds from a bucket
AS_IT_IS = 1 << 20  # pixels: no object is so large that it would be shrunk to this


def sampled(count: int) -> list[int]:
    """Return the numbers of the scenes or files whose content is looked at, of `count`."""
    return sorted({round(k * (count - 1) / (SAMPLED - 1)) for k in range(SAMPLED)})


def mark(parts: Iterable[tuple[str, bytes]]) -> str:
    """Return a hash of named contents, in their order."""
    digest = sha256()
    for name, content in parts:
        digest.update(f"{name}\0{len(content)}\0".encode(errors="surrogateescape"))
        digest.update(content)
    return digest.hexdigest()


def sources_mark(sources: Sources) -> str:
    """Return a hash of a sample of the pictures and objects that come out of files; "" of none.

    Raises:
        MagkitError: none of a place can be read.
    """
    parts = list(_sampled_pixels(sources))
    return mark(parts) if parts else ""


def _sampled_pixels(sources: Sources) -> Iterator[tuple[str, bytes]]:
    pictures, objects = sources.pictures, sources.cutouts
    numbers = _in_files(pictures.describe())
    pictures.prepare(numbers)
    for number in numbers:
        yield f"picture {number}", pictures.picture(number).numpy().tobytes()
    numbers = _in_files(objects.describe())
    objects.prepare(numbers)
    for number in numbers:
        levels = (objects.cutout(number, AS_IT_IS) * 255).round().byte()
        yield f"object {number}", levels.numpy().tobytes()


def _in_files(parts: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return numbers of items to look at, of the parts that are no procedural ones."""
    found, start = list[int](), 0
    for part in parts:
        if part["kind"] != "procedural":
            found += [start + number for number in sampled(part["count"])]
        start += part["count"]
    return found
