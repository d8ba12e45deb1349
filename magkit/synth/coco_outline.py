"""Outlines of objects as COCO files store them: polygons, or run lengths.

https://cocodataset.org/#format-data gives a polygon as `[[x1, y1, x2, y2, ...], ...]`, a list of
numbers for each part, and run lengths as `{"size": [height, width], "counts": ...}`. What other
programs write and can mean one thing only is read as well: a single part that isn't nested, and
points as pairs of numbers.
"""

from __future__ import annotations

import math
from array import array
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as rle

from magkit.synth.pictures import MAX_PIXELS

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
