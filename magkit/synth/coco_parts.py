"""Images and annotations of a COCO file as they are written by many programs, and what can be used.

Numbers may be texts, ids may be of any kind, area and box may be missing. What can't be used is
told by a reason, of which there are few, so that they can be counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from magkit.synth.coco_outline import Box, Outline, measure, read_outline
from magkit.synth.sources import MIN_AREA

CROWD = "are crowds (iscrowd 1)"
BOX_ONLY = "hold a box and no outline"
BROKEN = "have an outline that can't be read or doesn't fit the picture"
STRAY = "belong to no image that is listed"
TINY = f"are smaller than {MIN_AREA} square pixels"
CUT = "are cut by the picture's border"
HINTS = {
    CROWD: "iscrowd 1 stands for a group: export objects one by one, or set it to 0 if they are",
    BOX_ONLY: "objects are cut out along polygons or masks: export these",
    BROKEN: "a polygon is a list of numbers, [[x1, y1, x2, y2, ...]], in pixels",
    STRAY: "image_id of an annotation must be the id of an image",
}


class LeftOutError(Exception):
    """An annotation can't be used, for one of the reasons above."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the file.

    Attributes:
        id: of the image, see `id_text`.
        number: its position, from 0.
        name: what its file is called, a path or a URL, as it stands in the file.
        width: in pixels, as its height; 0: not stated.
        height: see `width`.
    """

    id: str
    number: int
    name: str
    width: int
    height: int


class ImageIds:
    """Images by their ids, whether these are numbers or texts."""

    def __init__(self) -> None:
        self.count = 0
        self._exact: dict[str, Image] = {}
        self._numeric: dict[str, Image | None] = {}

    def add(self, image: Image) -> bool:
        """Take an image in, and tell whether it wasn't there already.

        Raises:
            ValueError: another image has the same id.
        """
        twin = self._exact.setdefault(image.id, image)
        if twin is image:
            self.count += 1
            key = _numeric(image.id)
            self._numeric[key] = None if key in self._numeric else image
        elif twin.name != image.name:
            raise ValueError(f"images {twin.name} and {image.name} have the same id {image.id}")
        return twin is image

    def find(self, given: object) -> Image | None:
        """Return the image with an id; None: there is none, or "1" and "01" can't be told apart."""
        text = id_text(given)
        if text is None:
            return None
        return self._exact.get(text) or self._numeric.get(_numeric(text))


def id_text(given: object) -> str | None:
    """Return an id as a text, the same for 7, 7.0 and "7"; None: it is none."""
    if isinstance(given, float) and given.is_integer():
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    return str(given).strip() or None


def _numeric(text: str) -> str:
    head, dot, tail = text.partition(".")
    if not (head.isascii() and head.isdecimal() and len(head) < 100) or tail.strip("0"):
        return text
    return str(int(head)) if not dot or tail else text


def real(given: object) -> float | None:
    """Return a finite number, which may be written as a text; None: it is none."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    try:
        value = float(given)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def usable(found: Any, ids: ImageIds) -> tuple[Image, Box, Outline]:
    """Return an annotation's image, box and outline.

    Where an image's size isn't stated, whether its border cuts the object isn't known yet.

    Raises:
        LeftOutError: it can't be used.
    """
    if not isinstance(found, dict):
        raise LeftOutError(BROKEN)
    if _is_set(found.get("iscrowd")):
        raise LeftOutError(CROWD)
    if not found.get("segmentation"):
        raise LeftOutError(BOX_ONLY)
    image = ids.find(found.get("image_id"))
    if image is None:
        raise LeftOutError(STRAY)
    try:
        outline = read_outline(found["segmentation"])
        area, box = _measures(found, outline)
    except ValueError as error:
        raise LeftOutError(BROKEN) from error
    other = isinstance(outline, dict) and outline["size"] != [image.height, image.width]
    if image.width and other:
        raise LeftOutError(BROKEN)
    if area < MIN_AREA:
        raise LeftOutError(TINY)
    if image.width and is_cut(box, image.width, image.height):
        raise LeftOutError(CUT)
    return image, box, outline


def _is_set(flag: object) -> bool:
    if isinstance(flag, str):
        return flag.strip().lower() not in ("", "0", "0.0", "false", "no")
    return bool(flag)


def _measures(found: dict[str, Any], outline: Outline) -> tuple[float, Box]:
    """Return area and box as they are stated; what isn't, or can't be, as the outline has it."""
    area, box = real(found.get("area")) or 0.0, _box(found.get("bbox"))
    if area > 0 and box is not None:
        return area, box
    measured, around = measure(outline)
    return area if area > 0 else measured, box or around


def _box(given: object) -> Box | None:
    if not isinstance(given, list) or len(given) != 4:
        return None
    x, y, width, height = (real(value) for value in given)
    if x is None or y is None or not (width and height) or width < 0 or height < 0:
        return None
    return x, y, width, height


def is_cut(box: Box, width: int, height: int) -> bool:
    """Tell whether the border of a picture cuts an object, which gives it a straight false edge."""
    x, y, across, down = box
    return not (x > 1 and y > 1 and x + across < width - 1 and y + down < height - 1)
