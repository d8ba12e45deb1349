"""Regions of a clip to measure: points, rectangles, a grid, and places with enough texture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import Any, TypeAlias

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from magkit.errors import UsageError

Array = NDArray[np.floating[Any]]
Place: TypeAlias = Sequence[int]
Places: TypeAlias = Place | Iterable[Place] | Mapping[str, Place]
"""One place, several, or several with names."""

SIDE = 32  # pixels: of the square around a point, and of those chosen by texture
MIN_SIDE = 8  # pixels: two unknowns need more than a few gradients
PARTS = (3, 4)  # rows and columns of the parts of a frame in each of which a place is chosen
TEXTURED = 0.01  # of the greatest texture: the least that is chosen


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of a frame, in pixels; x runs to the right and y down.

    Attributes:
        left: column of its first pixel.
        top: row of its first pixel.
        width: number of columns.
        height: number of rows.
        name: what results call it.
    """

    left: int
    top: int
    width: int
    height: int
    name: str

    @property
    def centre(self) -> tuple[float, float]:
        """The coordinates x and y of its centre."""
        return self.left + (self.width - 1) / 2, self.top + (self.height - 1) / 2

    def check(self, height: int, width: int) -> None:
        """Raise a `UsageError` if it isn't within a frame, or too small to measure."""
        if self.width < MIN_SIDE or self.height < MIN_SIDE:
            raise UsageError(
                f"the region {self.name} of {self.width} x {self.height} pixels is too small",
                f"at least {MIN_SIDE} x {MIN_SIDE}",
            )
        inside = 0 <= self.left <= width - self.width and 0 <= self.top <= height - self.height
        if not inside:
            raise UsageError(
                f"the region {self.name} is outside the frame of {width} x {height} pixels",
                f"x from 0 to {width - 1}, y from 0 to {height - 1}",
            )


def region_at(x: int, y: int, side: int = SIDE) -> Region:
    """Return the square around a point."""
    return Region(x - side // 2, y - side // 2, side, side, f"{x},{y}")


def grid(height: int, width: int, columns: int, rows: int) -> list[Region]:
    """Return equal regions side by side that fill a frame, named by column and row from 1.

    Raises:
        UsageError: the regions would be smaller than 8 x 8 pixels.
    """
    across, down = width // columns, height // rows
    left, top = (width - across * columns) // 2, (height - down * rows) // 2
    places = [
        Region(left + i * across, top + j * down, across, down, f"{i + 1},{j + 1}")
        for j in range(rows)
        for i in range(columns)
    ]
    places[0].check(height, width)
    return places


def named_places(
    size: tuple[int, int],
    at: Places = (),
    roi: Places = (),
    cells: Place | None = None,
    side: int = SIDE,
) -> list[Region]:
    """Return the regions around points, of rectangles and of a grid, in this order.

    Args:
        size: height and width of the frames.
        at: points x, y.
        roi: rectangles: left, top, width, height.
        cells: columns and rows of a grid that fills the frame.
        side: of the squares around points, pixels.

    Raises:
        UsageError: a region isn't written so, is too small, or outside the frame.
    """
    found = [
        replace(region_at(x, y, side), name=name) for name, (x, y) in _listed(at, "point", "x, y")
    ]
    boxes = _listed(roi, "rectangle", "left, top, width, height")
    found += [Region(left, top, width, height, name) for name, (left, top, width, height) in boxes]
    if cells is not None:
        [(_, (columns, rows))] = _listed(cells, "grid", "columns, rows")
        if columns < 1 or rows < 1:
            raise UsageError(f"{columns} x {rows} is no grid", "columns, rows: from 1 on")
        found += grid(*size, columns, rows)
    for region in found:
        region.check(*size)
    return found


def _listed(places: Any, what: str, form: str) -> list[tuple[str, tuple[int, ...]]]:
    """Return places with their names; without one, its numbers are its name."""
    if isinstance(places, Mapping):
        return [(str(name), _whole(place, what, form)) for name, place in places.items()]
    several = isinstance(places, Iterable) and not isinstance(places, str)
    listed = list(places) if several else [places]
    if several and listed and not isinstance(listed[0], Iterable):
        listed = [listed]
    numbers = [_whole(place, what, form) for place in listed]
    return [(",".join(map(str, place)), place) for place in numbers]


def _whole(place: Any, what: str, form: str) -> tuple[int, ...]:
    try:
        numbers = tuple(index(number) for number in place)
    except TypeError:
        numbers = ()
    if len(numbers) != len(form.split(", ")):
        raise UsageError(f"{place!r} is no {what}", f"whole numbers: {form}")
    return numbers


def textured(
    frame: Array,
    taken: Sequence[Region] = (),
    parts: tuple[int, int] = PARTS,
    side: int = SIDE,
) -> list[Region]:
    """Return places all over a frame where displacements in both directions are best measured.

    The frame is divided into parts; each gives its best place, if it has texture. Places overlap
    neither each other nor regions that are taken. The measure is the smaller eigenvalue of the
    structure tensor (Shi & Tomasi, CVPR 1994).

    Args:
        frame: brightness (H, W).
        taken: regions to keep clear of.
        parts: rows and columns of parts.
        side: of the squares, pixels.
    """
    side = min(side, *frame.shape)
    if side < MIN_SIDE:
        return []
    score = _corners(frame, side)
    least = max(TEXTURED * float(score.max()), 1e-9)
    for region in taken:
        _clear(score, region, side)
    found: list[Region] = []
    for rows in np.array_split(np.arange(score.shape[0]), parts[0]):
        for columns in np.array_split(np.arange(score.shape[1]), parts[1]):
            part = score[rows[:, None], columns]
            if part.max(initial=0) < least:
                continue
            y, x = np.unravel_index(part.argmax(), part.shape)
            left, top = int(columns[x]), int(rows[y])
            name = f"{left + side // 2},{top + side // 2}"
            found.append(Region(left, top, side, side, name))
            _clear(score, found[-1], side)
    return found


def _corners(frame: Array, side: int) -> Array:
    """Return the smaller eigenvalue for the square whose corner is at each pixel."""
    y, x = np.gradient(scipy.ndimage.gaussian_filter(frame, 1.0))
    xx, xy, yy = (_sums(product, side) for product in (x * x, x * y, y * y))
    smaller: Array = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    return smaller


def _sums(values: Array, side: int) -> Array:
    """Return the sums over all squares inside, (H - side + 1, W - side + 1)."""
    total = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    sums: Array = total[side:, side:] - total[:-side, side:] - total[side:, :-side]
    sums += total[:-side, :-side]
    return sums


def _clear(score: Array, region: Region, side: int) -> None:
    """Remove the places of squares that overlap a region."""
    left, top = max(region.left - side + 1, 0), max(region.top - side + 1, 0)
    score[top : region.top + region.height, left : region.left + region.width] = 0
