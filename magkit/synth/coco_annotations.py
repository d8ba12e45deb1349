"""Images, annotations and outlines of a COCO file, and which of them can be used."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as rle

from magkit.synth.pictures import MAX_PIXELS
from magkit.synth.sources import MIN_AREA

REACH = 4  # an outline may reach so many times a picture's longer side from its corner
Outline = list[list[float]] | dict[str, Any]
"""Parts, each x1, y1, x2, y2, ... in pixels; or run lengths."""
Box = tuple[float, float, float, float]
"""Left, top, width and height in pixels."""


def read_outline(segmentation: object) -> Outline:
    """Return an annotation's outline in COCO's own form.

    Raises:
        ValueError: it is none, or can mean several things.
    """
    if isinstance(segmentation, list) and len(segmentation) == 1:
        segmentation = segmentation[0] if isinstance(segmentation[0], dict) else segmentation
    if isinstance(segmentation, dict):
        return _checked_runs(segmentation)
    if not isinstance(segmentation, list):
        raise ValueError("it is neither a list nor run lengths")
    parts = [segmentation] if _is_flat(segmentation) else segmentation
    if all(isinstance(part, list) and len(part) in (1, 2) for part in parts):
        parts = [parts]  # one part, point by point
    outline = [points for part in parts if len(points := _flattened(part)) >= 6]
    if not outline:
        raise ValueError("it has fewer than three points")
    return outline


def _is_flat(values: list[Any]) -> bool:
    return not any(isinstance(value, list) for value in values)


def _flattened(part: Any) -> list[float]:
    """Return a part's numbers; its points may be pairs, or pairs in a list of their own."""
    if not isinstance(part, list):
        raise ValueError("it mixes lists and numbers")
    if not _is_flat(part):
        pairs = [p[0] if len(p) == 1 else p for p in part if isinstance(p, list)]
        if len(pairs) < len(part) or not all(isinstance(p, list) and len(p) == 2 for p in pairs):
            raise ValueError("its points are no pairs")
        part = [value for pair in pairs for value in pair]
    points: list[float] = part
    try:
        sound = len(points) % 2 == 0 and math.isfinite(math.fsum(array("d", points)))
    except (TypeError, OverflowError) as error:
        raise ValueError("its points are not all numbers") from error
    if not sound:
        raise ValueError("its points are not all pairs of numbers")
    return points


def _checked_runs(coded: dict[str, Any]) -> dict[str, Any]:
    counts, size = coded.get("counts"), coded.get("size")
    if not isinstance(counts, list | str) or not counts:
        raise ValueError("it has no run lengths")
    try:
        height, width = (int(side) for side in size or ())
        whole = sum(counts) if isinstance(counts, list) else height * width
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("its run lengths or their size are not numbers") from error
    if not 0 < height * width <= MAX_PIXELS or whole != height * width:
        raise ValueError(f"its run lengths do not fit a picture of {width} x {height} pixels")
    return {"size": [height, width], "counts": counts}


def measure(outline: Outline) -> tuple[float, Box]:
    """Return an outline's area in square pixels and its box; parts that overlap count twice.

    Raises:
        ValueError: run lengths are broken, or of nothing.
    """
    if isinstance(outline, dict):
        return _measured_mask(_from_runs(outline))
    area = 0.0
    for part in outline:
        x, y = np.array(part, np.float64).reshape(-1, 2).T
        x, y = x - x[0], y - y[0]
        area += abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
    points = np.concatenate([np.array(part, np.float64).reshape(-1, 2) for part in outline])
    left, top = points.min(0).tolist()
    right, bottom = points.max(0).tolist()
    return area, (left, top, right - left, bottom - top)


def _measured_mask(mask: npt.NDArray[np.uint8]) -> tuple[float, Box]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        raise ValueError("it is empty")
    left, top = int(columns[0]), int(rows[0])
    across, down = int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top
    return float(np.count_nonzero(mask)), (left, top, across, down)


def draw_mask(outline: Outline, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return an outline's mask over its whole picture, (H, W), 0 or 1.

    Raises:
        Exception: it can't be drawn there. The decoder is written in C, and raises what comes its
            way.
    """
    if not 0 < height * width <= MAX_PIXELS:
        raise ValueError("its picture is too large")
    if isinstance(outline, dict):
        if list(outline["size"]) != [height, width]:
            raise ValueError("its run lengths do not fit its picture")
        return _from_runs(outline)
    # The decoder walks along every edge pixel by pixel, however long it is.
    reach = REACH * max(height, width)
    if not all(-reach <= float(v) <= reach for part in outline for v in part):
        raise ValueError("it lies far outside of its picture")
    polygons = rle.merge(rle.frPyObjects(outline, height, width))
    return np.asarray(rle.decode(polygons), np.uint8)


def _from_runs(coded: dict[str, Any]) -> npt.NDArray[np.uint8]:
    """Decode run lengths, column by column; where they are too few, pycocotools leaves rubbish."""
    height, width = coded["size"]
    counts = coded["counts"]
    runs = np.array(_counts(counts) if isinstance(counts, str) else counts, np.int64)
    if runs.ndim != 1 or runs.min() < 0 or runs.sum() != height * width:
        raise ValueError("its run lengths do not fit its picture")
    values = np.arange(len(runs), dtype=np.uint8) % 2
    return np.repeat(values, runs).reshape(width, height).T


def _counts(text: str) -> list[int]:
    """Unpack COCO's text of run lengths: 5 bits a character, from the third on differences."""
    counts: list[int] = []
    value = shift = 0
    for code in (ord(character) - 48 for character in text):
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            value -= (code >> 4 & 1) << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts


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
