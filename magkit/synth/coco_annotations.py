"""Images, annotations and segmentations of a COCO file, parsed and validated."""

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

REACH = 4  # longer sides of a picture from its corner within which a polygon must lie
Segmentation = list[list[float]] | dict[str, Any]
"""Polygons, each x1, y1, x2, y2, ... in pixels; or RLE."""
Box = tuple[float, float, float, float]
"""Left, top, width and height in pixels."""


def parse_segmentation(segmentation: object) -> Segmentation:
    """Return an annotation's segmentation in COCO's form.

    Raises:
        ValueError: it is invalid or ambiguous.
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
    """Return a polygon's numbers; its points may be pairs, or lists of one pair."""
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


def measure(segmentation: Segmentation) -> tuple[float, Box]:
    """Return a segmentation's area in square pixels and its box; overlaps count twice.

    Raises:
        ValueError: run lengths are invalid or empty.
    """
    if isinstance(segmentation, dict):
        return _measured_mask(_from_runs(segmentation))
    area = 0.0
    for part in segmentation:
        x, y = np.array(part, np.float64).reshape(-1, 2).T
        x, y = x - x[0], y - y[0]
        area += abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
    points = np.concatenate([np.array(part, np.float64).reshape(-1, 2) for part in segmentation])
    left, top = points.min(0).tolist()
    right, bottom = points.max(0).tolist()
    return area, (left, top, right - left, bottom - top)


def pack(segmentation: Segmentation) -> bytes:
    """Return a segmentation as it is stored in the index; `unpack` is its inverse.

    Polygons are big-endian float64 numbers: their count, the length of each, all coordinates. Run
    lengths are text after a zero byte: height, width and counts.

    Raises:
        ValueError: a number is too large.
    """
    if isinstance(segmentation, dict):
        counts, (height, width) = segmentation["counts"], segmentation["size"]
        kind = "text" if isinstance(counts, str) else "list"
        text = counts if isinstance(counts, str) else " ".join(str(int(one)) for one in counts)
        return f"\0{kind} {height} {width} {text}".encode(errors="surrogatepass")
    points = [value for part in segmentation for value in part]
    try:
        return np.array([len(segmentation), *map(len, segmentation), *points], ">f8").tobytes()
    except OverflowError as error:
        raise ValueError("its points are too large") from error


def unpack(data: bytes) -> Segmentation:
    """Return a segmentation that `pack` has packed."""
    if data.startswith(b"\0"):
        kind, height, width, text = data[1:].decode(errors="surrogatepass").split(" ", 3)
        counts = text if kind == "text" else [int(count) for count in text.split()]
        return {"size": [int(height), int(width)], "counts": counts}
    values = np.frombuffer(data, ">f8")
    count = int(values[0])
    ends = np.cumsum(values[1 : count + 1]).astype(int)
    return [part.tolist() for part in np.split(values[count + 1 :], ends[:-1])]


def _measured_mask(mask: npt.NDArray[np.uint8]) -> tuple[float, Box]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        raise ValueError("it is empty")
    left, top = int(columns[0]), int(rows[0])
    across, down = int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top
    return float(np.count_nonzero(mask)), (left, top, across, down)


def draw_mask(segmentation: Segmentation, height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return a segmentation's mask over its whole picture, (H, W), 0 or 1.

    Raises:
        Exception: it can't be drawn there; pycocotools raises exceptions of many types.
    """
    if not 0 < height * width <= MAX_PIXELS:
        raise ValueError("its picture is too large")
    if isinstance(segmentation, dict):
        if list(segmentation["size"]) != [height, width]:
            raise ValueError("its run lengths do not fit its picture")
        return _from_runs(segmentation)
    # pycocotools walks along every edge pixel by pixel, however long it is.
    reach = REACH * max(height, width)
    if not all(-reach <= float(v) <= reach for part in segmentation for v in part):
        raise ValueError("it lies far outside of its picture")
    polygons = rle.merge(rle.frPyObjects(segmentation, height, width))
    return np.asarray(rle.decode(polygons), np.uint8)


def _from_runs(coded: dict[str, Any]) -> npt.NDArray[np.uint8]:
    """Decode run lengths, column by column; pycocotools doesn't check their sum."""
    height, width = coded["size"]
    counts = coded["counts"]
    runs = np.array(_counts(counts) if isinstance(counts, str) else counts, np.int64)
    if runs.ndim != 1 or runs.min() < 0 or runs.sum() != height * width:
        raise ValueError("its run lengths do not fit its picture")
    values = np.arange(len(runs), dtype=np.uint8) % 2
    return np.repeat(values, runs).reshape(width, height).T


def _counts(text: str) -> list[int]:
    """Decode compressed RLE: 5 bits per character, differences from the third count on."""
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
NO_IMAGE = "belong to no image that is listed"
TINY = f"are smaller than {MIN_AREA} square pixels"
TRUNCATED = "are cut by the picture's border"
HINTS = {
    CROWD: "iscrowd 1 stands for a group: export objects one by one, or set it to 0 if they are",
    BOX_ONLY: "objects are cut out along polygons or masks: export these",
    BROKEN: "a polygon is a list of numbers, [[x1, y1, x2, y2, ...]], in pixels",
    NO_IMAGE: "image_id of an annotation must be the id of an image",
}


class UnusableError(Exception):
    """An annotation is unusable for one of the reasons above."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image of the file.

    Attributes:
        id: of the image, see `id_text`.
        number: its position, from 0.
        name: path or URL of its picture, as the file states it.
        width: in pixels; 0: not stated.
        height: in pixels; 0: not stated.
    """

    id: str
    number: int
    name: str
    width: int
    height: int


class ImageIds:
    """Images by their ids, which may be numbers or texts."""

    def __init__(self) -> None:
        self.count = 0
        self._exact: dict[str, Image] = {}
        self._numeric: dict[str, Image | None] = {}

    def add(self, image: Image) -> bool:
        """Add an image; return whether it is new.

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
        """Return the image with an id; None if there is none, or "1" and "01" are ambiguous."""
        text = id_text(given)
        if text is None:
            return None
        return self._exact.get(text) or self._numeric.get(_numeric(text))


def id_text(given: object) -> str | None:
    """Return an id as a text, the same for 7, 7.0 and "7"; None if it is invalid."""
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


def finite_number(given: object) -> float | None:
    """Return a finite number, which may be a text; None if it is invalid."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    try:
        value = float(given)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def parse_annotation(found: Any, ids: ImageIds) -> tuple[Image, Box, bytes]:
    """Return an annotation's image, box and packed segmentation.

    If the image's size isn't stated, truncation by its border isn't checked.

    Raises:
        UnusableError: it is unusable.
    """
    if not isinstance(found, dict):
        raise UnusableError(BROKEN)
    if _is_set(found.get("iscrowd")):
        raise UnusableError(CROWD)
    if not found.get("segmentation"):
        raise UnusableError(BOX_ONLY)
    image = ids.find(found.get("image_id"))
    if image is None:
        raise UnusableError(NO_IMAGE)
    try:
        outline = parse_segmentation(found["segmentation"])
        area, box = _measures(found, outline)
    except ValueError as error:
        raise UnusableError(BROKEN) from error
    other = isinstance(outline, dict) and outline["size"] != [image.height, image.width]
    if image.width and other:
        raise UnusableError(BROKEN)
    if area < MIN_AREA:
        raise UnusableError(TINY)
    if image.width and is_truncated(box, image.width, image.height):
        raise UnusableError(TRUNCATED)
    try:
        return image, box, pack(outline)
    except ValueError as error:
        raise UnusableError(BROKEN) from error


def _is_set(flag: object) -> bool:
    if isinstance(flag, str):
        return flag.strip().lower() not in ("", "0", "0.0", "false", "no")
    return bool(flag)


def _measures(found: dict[str, Any], segmentation: Segmentation) -> tuple[float, Box]:
    """Return area and box as stated; missing or invalid ones from the segmentation."""
    area, box = finite_number(found.get("area")) or 0.0, _box(found.get("bbox"))
    if area > 0 and box is not None:
        return area, box
    measured, around = measure(segmentation)
    return area if area > 0 else measured, box or around


def _box(given: object) -> Box | None:
    if not isinstance(given, list) or len(given) != 4:
        return None
    x, y, width, height = (finite_number(value) for value in given)
    if x is None or y is None or not (width and height) or width < 0 or height < 0:
        return None
    return x, y, width, height


def is_truncated(box: Box, width: int, height: int) -> bool:
    """Tell whether a picture's border cuts an object, which gives it a false straight edge."""
    x, y, across, down = box
    return not (x > 1 and y > 1 and x + across < width - 1 and y + down < height - 1)
