"""Charts: training curves and histograms drawn by Pillow, and plots drawn by matplotlib."""

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

COLOUR, DARK_GREY, LIGHT_GREY = (66, 110, 180), (40, 40, 40), (200, 200, 200)
CURVE_WIDTH, CURVE_HEIGHT, CURVE_MARGIN, CURVE_FONT = 420, 220, 40, 12  # pixels
CURVE_COLUMNS = 2
MAX_MARKERS = 39  # curves of more points have no markers
HISTOGRAM_WIDTH, HISTOGRAM_HEIGHT, HISTOGRAM_MARGIN, HISTOGRAM_FONT = 360, 240, 36, 13  # pixels

PLOT_FORMATS = (".png", ".svg")
MAX_TICKS = 8  # if there are at most this many x values, each has a tick

Points = Sequence[tuple[float, float]]


def draw_curves(lines: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Image.Image:
    """Draw a chart for each metric of `names` that occurs in `lines`, over "step"."""
    found = {name: _points(lines, name) for name in names}
    charts = {name: points for name, points in found.items() if points}
    rows = max(1, -(-len(charts) // CURVE_COLUMNS))
    image = Image.new("RGB", (CURVE_COLUMNS * CURVE_WIDTH, rows * CURVE_HEIGHT), "white")
    for number, (name, points) in enumerate(charts.items()):
        row, column = divmod(number, CURVE_COLUMNS)
        _draw_curve(ImageDraw.Draw(image), column * CURVE_WIDTH, row * CURVE_HEIGHT, name, points)
    return image


def _points(lines: Sequence[Mapping[str, Any]], name: str) -> Points:
    """Return the finite points, averaged to about one point per pixel."""
    found = [(float(line["step"]), line[name]) for line in lines if line.get(name) is not None]
    points = [point for point in found if math.isfinite(point[1])]
    size = max(1, len(points) // (CURVE_WIDTH - 2 * CURVE_MARGIN))
    parts = [points[start : start + size] for start in range(0, len(points), size)]
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]


def _draw_curve(draw: ImageDraw.ImageDraw, left: int, top: int, name: str, points: Points) -> None:
    font = ImageFont.load_default(CURVE_FONT)
    x0, x1 = CURVE_MARGIN, CURVE_WIDTH - CURVE_MARGIN // 2
    y0, y1 = CURVE_MARGIN, CURVE_HEIGHT - CURVE_MARGIN
    steps = max(step for step, _ in points)
    low, high = min(value for _, value in points), max(value for _, value in points)
    extent = (high - low) or abs(high) or 1.0

    def to_pixels(step: float, value: float) -> tuple[float, float]:
        x = x0 + (x1 - x0) * step / max(steps, 1)
        return left + x, top + y1 - (y1 - y0) * (value - low) / extent

    for value in (low, high):
        y = to_pixels(0, value)[1]
        draw.line((left + x0, y, left + x1, y), fill=LIGHT_GREY)
        draw.text((left + x0 - 4, y), f"{value:.3g}", fill=DARK_GREY, font=font, anchor="rm")
    draw.text((left + x0, top + CURVE_MARGIN / 3), name, fill=DARK_GREY, font=font)
    draw.text((left + x1, top + y1 + 4), f"{steps:g} steps", fill=DARK_GREY, font=font, anchor="ra")
    draw.line([to_pixels(*point) for point in points], fill=COLOUR, width=2)
    for point in points if len(points) <= MAX_MARKERS else ():
        x, y = to_pixels(*point)
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=COLOUR)


@dataclass(frozen=True, slots=True)
class HistogramChart:
    """A histogram with logarithmic bins.

    Attributes:
        title: title of the chart.
        edges: positive edges of the bins, one more than counts.
        counts: number of values in each bin.
    """

    title: str
    edges: Sequence[float]
    counts: Sequence[int]


def draw_histograms(charts: Sequence[HistogramChart]) -> Image.Image:
    """Draw histograms side by side."""
    image = Image.new("RGB", (len(charts) * HISTOGRAM_WIDTH, HISTOGRAM_HEIGHT), "white")
    for number, chart in enumerate(charts):
        _draw_histogram(ImageDraw.Draw(image), number * HISTOGRAM_WIDTH, chart)
    return image


def _draw_histogram(draw: ImageDraw.ImageDraw, left: int, chart: HistogramChart) -> None:
    font, margin = ImageFont.load_default(HISTOGRAM_FONT), HISTOGRAM_MARGIN
    floor, width = HISTOGRAM_HEIGHT - margin, HISTOGRAM_WIDTH - 2 * margin
    bar, most = width / len(chart.counts), max(*chart.counts, 1)
    for number, count in enumerate(chart.counts):
        x = left + margin + number * bar
        height = (floor - margin) * count / most
        draw.rectangle((x, floor - height, x + bar - 1, floor), fill=COLOUR)
    draw.line((left + margin, floor, left + HISTOGRAM_WIDTH - margin, floor), fill=DARK_GREY)
    draw.text((left + margin, margin / 3), chart.title, fill=DARK_GREY, font=font)
    low, high = math.log10(chart.edges[0]), math.log10(chart.edges[-1])
    for power in range(math.ceil(low), math.floor(high) + 1):
        x = left + margin + width * (power - low) / (high - low)
        draw.line((x, floor, x, floor + 4), fill=DARK_GREY)
        draw.text((x, floor + 6), f"{10.0**power:g}", fill=DARK_GREY, font=font, anchor="ma")


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve of a plot; baselines are grey and dashed."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    baseline: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves in one coordinate system, with an optional dashed horizontal line at `level`."""

    title: str
    curves: Sequence[Curve]
    level: float | None = None
    legend: bool = False


def check_plot(path: Path) -> None:
    """Check that a plot can be drawn, before anything is measured.

    Raises:
        UsageError: the suffix is neither .png nor .svg.
        MagkitError: matplotlib is not installed.
    """
    if path.suffix.lower() not in PLOT_FORMATS:
        raise UsageError(f"{path} must end in .png or .svg")
    load_matplotlib()


def save_plot(path: Path, panels: Sequence[Panel], x_label: str, *, overwrite: bool) -> None:
    """Plot panels side by side, with logarithmic x axes.

    Args:
        path: a .png or .svg file, written atomically.
        panels: the panels, from left to right.
        x_label: label of the x axes.
        overwrite: whether an existing file is replaced.

    Raises:
        UsageError, MagkitError: as `check_plot`, or the file exists or can't be written.
    """
    check_plot(path)
    figure = load_matplotlib().Figure(figsize=(9, 3.6), layout="constrained")
    for axes, panel in zip(figure.subplots(1, len(panels)), panels, strict=True):
        for curve in panel.curves:
            style = {"color": "grey", "linestyle": "--"} if curve.baseline else {}
            axes.plot(curve.xs, curve.ys, label=curve.name, marker="o", markersize=4, **style)
        if panel.level is not None:
            axes.axhline(panel.level, color="grey", linestyle="--", linewidth=1)
        _style(axes, panel.curves[0].xs, x_label, panel.title)
        if panel.legend:
            axes.legend(frameon=False, fontsize="small")
    with atomic_path(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=150)


def _style(axes: Axes, ticks: Sequence[float], x_label: str, title: str) -> None:
    axes.set_xscale("log")
    if len(ticks) <= MAX_TICKS:
        axes.set_xticks(ticks, [f"{value:g}" for value in ticks])
        axes.minorticks_off()
    axes.set_xlabel(x_label)
    axes.set_title(title, fontsize="medium")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def load_matplotlib() -> ModuleType:
    """Return `matplotlib.figure`.

    Raises:
        MagkitError: matplotlib is not installed.
    """
    try:
        # pyplot would open windows and keep global state.
        from matplotlib import figure
    except ImportError as error:
        raise MagkitError(
            "a plot needs matplotlib, which is not installed", "pip install 'magkit[plot]'"
        ) from error
    return figure
