"""What was measured over a training, as a picture of curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, EDGE = 420, 220, 40  # pixels of a chart, and of what surrounds it
LINE, INK, PALE = (66, 110, 180), (40, 40, 40), (200, 200, 200)
COLUMNS = 2
FONT = 12  # pixels

Points = Sequence[tuple[float, float]]


def curves(lines: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Image.Image:
    """Return a chart for each name that is in `lines`, over their "step"."""
    found = {name: _points(lines, name) for name in names}
    charts = {name: points for name, points in found.items() if points}
    rows = max(1, -(-len(charts) // COLUMNS))
    image = Image.new("RGB", (COLUMNS * WIDTH, rows * HEIGHT), "white")
    for number, (name, points) in enumerate(charts.items()):
        place = number % COLUMNS * WIDTH, number // COLUMNS * HEIGHT
        _draw(ImageDraw.Draw(image), place, name, points)
    return image


def _points(lines: Sequence[Mapping[str, Any]], name: str) -> Points:
    found = [(float(line["step"]), line[name]) for line in lines if line.get(name) is not None]
    return _thinned([point for point in found if math.isfinite(point[1])])


def _thinned(points: Points) -> Points:
    """Return means of as many neighbours as leave about a point to a pixel."""
    group = max(1, len(points) // (WIDTH - 2 * EDGE))
    parts = [points[start : start + group] for start in range(0, len(points), group)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]


def _draw(draw: ImageDraw.ImageDraw, place: tuple[int, int], name: str, points: Points) -> None:
    font = ImageFont.load_default(FONT)
    (x0, y0), (x1, y1) = (EDGE, EDGE), (WIDTH - EDGE // 2, HEIGHT - EDGE)
    left, top = place
    most_steps = max(step for step, _ in points)
    low, high = min(value for _, value in points), max(value for _, value in points)
    unit = (high - low) or abs(high) or 1.0

    def at(step: float, value: float) -> tuple[float, float]:
        x = x0 + (x1 - x0) * step / max(most_steps, 1)
        return left + x, top + y1 - (y1 - y0) * (value - low) / unit

    for value in (low, high):
        y = at(0, value)[1]
        draw.line((left + x0, y, left + x1, y), fill=PALE)
        draw.text((left + x0 - 4, y), f"{value:.3g}", fill=INK, font=font, anchor="rm")
    draw.text((left + x0, top + EDGE / 3), name, fill=INK, font=font)
    draw.text((left + x1, top + y1 + 4), f"{most_steps:g} steps", fill=INK, font=font, anchor="ra")
    draw.line([at(*point) for point in points], fill=LINE, width=2)
    for point in points if len(points) < COLUMNS * 20 else ():
        x, y = at(*point)
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=LINE)
