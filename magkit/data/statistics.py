"""How far things move in a data set: histograms in numbers and as a picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

BINS = 40
WIDTH, HEIGHT, EDGE = 360, 240, 36  # pixels of a chart, and of what surrounds it
BAR, INK = (66, 110, 180), (40, 40, 40)
FONT = 13  # pixels


class Histogram:
    """Counts of positive values in bins of equal ratio; what is zero is counted apart.

    Args:
        title: of the chart.
        low: lower edge of the first bin; lesser values are counted there.
        high: upper edge of the last; greater values are counted there.
    """

    def __init__(self, title: str, low: float, high: float) -> None:
        self.title = title
        self.edges = np.geomspace(low, high, BINS + 1)
        self.counts = np.zeros(BINS, np.int64)
        self.zero = 0
        self.total, self.least, self.most = 0.0, math.inf, 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        if value == 0:
            self.zero += 1
            return
        place = int(np.searchsorted(self.edges, value, side="right")) - 1
        self.counts[min(max(place, 0), BINS - 1)] += 1
        self.total += value
        self.least, self.most = min(self.least, value), max(self.most, value)

    def numbers(self) -> dict[str, Any]:
        """Return a JSON object."""
        count, known = int(self.counts.sum()), {}
        if count:
            known = {"mean": self.total / count, "least": self.least, "most": self.most}
        return {
            "count": count,
            "zero": self.zero,
            **known,
            "edges": [float(f"{edge:.6g}") for edge in self.edges],
            "counts": self.counts.tolist(),
        }


class Statistics:
    """Of all scenes: the factor; of all layers: how far they move, and how far when magnified."""

    def __init__(self) -> None:
        self.scenes = 0
        self.kinds: dict[str, int] = {}
        self.charts = {
            "factor": Histogram("factor", 1, 300),
            "displacement": Histogram("displacement of a layer, pixels", 1e-3, 30),
            "magnified": Histogram("magnified displacement, pixels", 1e-2, 100),
        }

    def add(self, kind: str, factor: float, motions: Iterable[Sequence[float]]) -> None:
        """Count a scene of a kind, and the displacements (x, y) in pixels of its layers."""
        self.scenes += 1
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        self.charts["factor"].add(factor)
        for motion in motions:
            length = math.hypot(*motion)
            self.charts["displacement"].add(length)
            self.charts["magnified"].add(length * factor)

    def numbers(self) -> dict[str, Any]:
        """Return a JSON object."""
        kinds = dict(sorted(self.kinds.items()))
        charts = {name: chart.numbers() for name, chart in self.charts.items()}
        return {"scenes": self.scenes, "kinds": kinds, **charts}

    def picture(self) -> Image.Image:
        """Return the charts side by side."""
        image = Image.new("RGB", (len(self.charts) * WIDTH, HEIGHT), "white")
        for number, chart in enumerate(self.charts.values()):
            _draw(chart, ImageDraw.Draw(image), number * WIDTH)
        return image


def _draw(chart: Histogram, draw: ImageDraw.ImageDraw, left: int) -> None:
    font = ImageFont.load_default(FONT)
    floor, width = HEIGHT - EDGE, (WIDTH - 2 * EDGE) / BINS
    top = max(int(chart.counts.max()), 1)
    for place, count in enumerate(chart.counts.tolist()):
        x = left + EDGE + place * width
        height = (floor - EDGE) * count / top
        draw.rectangle((x, floor - height, x + width - 1, floor), fill=BAR)
    draw.line((left + EDGE, floor, left + WIDTH - EDGE, floor), fill=INK)
    still = f", {chart.zero:,} at rest" if chart.zero else ""
    draw.text((left + EDGE, EDGE / 3), chart.title + still, fill=INK, font=font)
    low, high = math.log10(chart.edges[0]), math.log10(chart.edges[-1])
    for power in range(math.ceil(low), math.floor(high) + 1):
        x = left + EDGE + (WIDTH - 2 * EDGE) * (power - low) / (high - low)
        draw.line((x, floor, x, floor + 4), fill=INK)
        draw.text((x, floor + 6), f"{10.0**power:g}", fill=INK, font=font, anchor="ma")
