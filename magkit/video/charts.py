"""Charts: curves over training steps and histograms drawn by Pillow, plots by matplotlib."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, ImageFont

from magkit.errors import MagkitError, UsageError
from magkit.runtime.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOUR, INK, PALE = (66, 110, 180), (40, 40, 40), (200, 200, 200)
CURVE_WIDTH, CURVE_HEIGHT, CURVE_EDGE, CURVE_FONT = 420, 220, 40, 12  # pixels
CURVE_COLUMNS = 2
FEW_POINTS = 40  # fewer are marked by dots
HISTOGRAM_WIDTH, HISTOGRAM_HEIGHT, HISTOGRAM_EDGE, HISTOGRAM_FONT = 360, 240, 36, 13  # pixels

PLOT_FORMATS = (".png", ".svg")
FEW_TICKS = 8  # values: no more are written below the curves, each at its place

Points = Sequence[tuple[float, float]]


def draw_curves(lines: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Image.Image:
    """Draw a chart for each name that is in `lines`, over their "step"."""
    found = {name: _points(lines, name) for name in names}
    charts = {name: points for name, points in found.items() if points}
    rows = max(1, -(-len(charts) // CURVE_COLUMNS))
    image = Image.new("RGB", (CURVE_COLUMNS * CURVE_WIDTH, rows * CURVE_HEIGHT), "white")
    for number, (name, points) in enumerate(charts.items()):
        row, column = divmod(number, CURVE_COLUMNS)
        _draw_curve(ImageDraw.Draw(image), column * CURVE_WIDTH, row * CURVE_HEIGHT, name, points)
    return image


def _points(lines: Sequence[Mapping[str, Any]], name: str) -> Points:
    """Return finite points, neighbours averaged so that about one to a pixel is left."""
    found = [(float(line["step"]), line[name]) for line in lines if line.get(name) is not None]
    points = [point for point in found if math.isfinite(point[1])]
    size = max(1, len(points) // (CURVE_WIDTH - 2 * CURVE_EDGE))
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]


def _draw_curve(draw: ImageDraw.ImageDraw, left: int, top: int, name: str, points: Points) -> None:
    font = ImageFont.load_default(CURVE_FONT)
    (x0, y0), x1, y1 = (CURVE_EDGE,) * 2, CURVE_WIDTH - CURVE_EDGE // 2, CURVE_HEIGHT - CURVE_EDGE
    steps = max(step for step, _ in points)
    low, high = min(value for _, value in points), max(value for _, value in points)
    unit = (high - low) or abs(high) or 1.0

    def place(step: float, value: float) -> tuple[float, float]:
        x = x0 + (x1 - x0) * step / max(steps, 1)
        return left + x, top + y1 - (y1 - y0) * (value - low) / unit

    for value in (low, high):
        y = place(0, value)[1]
        draw.line((left + x0, y, left + x1, y), fill=PALE)
        draw.text((left + x0 - 4, y), f"{value:.3g}", fill=INK, font=font, anchor="rm")
    draw.text((left + x0, top + CURVE_EDGE / 3), name, fill=INK, font=font)
    draw.text((left + x1, top + y1 + 4), f"{steps:g} steps", fill=INK, font=font, anchor="ra")
    draw.line([place(*point) for point in points], fill=COLOUR, width=2)
    for point in points if len(points) < FEW_POINTS else ():
        x, y = place(*point)
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=COLOUR)


@dataclass(frozen=True, slots=True)
class Bars:
    """A histogram with logarithmic bins.

    Attributes:
        title: of the chart.
        edges: of the bins, above 0, one more than there are counts.
        counts: of each bin.
    """

    title: str
    edges: Sequence[float]
    counts: Sequence[int]


def draw_histograms(charts: Sequence[Bars]) -> Image.Image:
    """Draw histograms side by side."""
    image = Image.new("RGB", (len(charts) * HISTOGRAM_WIDTH, HISTOGRAM_HEIGHT), "white")
    for number, chart in enumerate(charts):
        _draw_histogram(ImageDraw.Draw(image), number * HISTOGRAM_WIDTH, chart)
    return image


def _draw_histogram(draw: ImageDraw.ImageDraw, left: int, chart: Bars) -> None:
    font, edge = ImageFont.load_default(HISTOGRAM_FONT), HISTOGRAM_EDGE
    floor, width = HISTOGRAM_HEIGHT - edge, HISTOGRAM_WIDTH - 2 * edge
    bar, most = width / len(chart.counts), max(*chart.counts, 1)
    for number, count in enumerate(chart.counts):
        x = left + edge + number * bar
        height = (floor - edge) * count / most
        draw.rectangle((x, floor - height, x + bar - 1, floor), fill=COLOUR)
    draw.line((left + edge, floor, left + HISTOGRAM_WIDTH - edge, floor), fill=INK)
    draw.text((left + edge, edge / 3), chart.title, fill=INK, font=font)
    low, high = math.log10(chart.edges[0]), math.log10(chart.edges[-1])
    for power in range(math.ceil(low), math.floor(high) + 1):
        x = left + edge + width * (power - low) / (high - low)
        draw.line((x, floor, x, floor + 4), fill=INK)
        draw.text((x, floor + 6), f"{10.0**power:g}", fill=INK, font=font, anchor="ma")


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve of a plot; a baseline is grey and dashed."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    baseline: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves in one coordinate system, and perhaps a dashed horizontal line."""

    title: str
    curves: Sequence[Curve]
    level: float | None = None
    legend: bool = False


def check_plot(path: Path) -> None:
    """Refuse a plot that can't be drawn, before anything is measured.

    Raises:
        UsageError: the suffix is neither .png nor .svg.
        MagkitError: matplotlib is not installed.
    """
    if path.suffix.lower() not in PLOT_FORMATS:
        raise UsageError(f"{path} must end in .png or .svg")
    _matplotlib()


def save_plot(path: Path, panels: Sequence[Panel], x_label: str, *, overwrite: bool) -> None:
    """Plot panels side by side over one logarithmic axis.

    Args:
        path: a .png or .svg file, written whole or not at all.
        panels: the curves.
        x_label: of the axis.
        overwrite: whether an existing file is replaced.

    Raises:
        UsageError, MagkitError: as `check_plot`, or the file exists or can't be written.
    """
    check_plot(path)
    figure = _matplotlib().Figure(figsize=(9, 3.6), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for curve in panel.curves:
            look = {"color": "grey", "linestyle": "--"} if curve.baseline else {}
            axes.plot(curve.xs, curve.ys, label=curve.name, marker="o", markersize=4, **look)
        if panel.level is not None:
            axes.axhline(panel.level, color="grey", linestyle="--", linewidth=1)
        _style(axes, panel.curves[0].xs, x_label, panel.title)
        if panel.legend:
            axes.legend(frameon=False, fontsize="small")
    with atomic_path(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=150)


def _style(axes: Axes, ticks: Sequence[float], x_label: str, title: str) -> None:
    axes.set_xscale("log")
    if len(ticks) <= FEW_TICKS:
        axes.set_xticks(ticks, [f"{value:g}" for value in ticks])
        axes.minorticks_off()
    axes.set_xlabel(x_label)
    axes.set_title(title, fontsize="medium")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _matplotlib() -> ModuleType:
    try:
        # Without pyplot: no window, no state that outlives the figure.
        from matplotlib import figure
    except ImportError as error:
        raise MagkitError(
            "a plot needs matplotlib, which is not installed", "pip install 'magkit[plot]'"
        ) from error
    return figure
