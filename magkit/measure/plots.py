"""Plots of a measurement: waveforms and spectra with floor and limit, and where they are from."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from magkit.measure.clip import Measurement, RegionResult
from magkit.measure.export import verdict
from magkit.measure.spectrum import Spectrum
from magkit.measure.units import Unit, length_unit
from magkit.runtime.files import atomic_path
from magkit.video.charts import load_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"x": "tab:blue", "y": "tab:orange"}
MOST = 12  # regions in a plot: those that move most
LABELS = 4  # most tones of a region whose frequency is written beside their peak


def save_plot(
    found: Measurement,
    frame: NDArray[Any],
    path: Path,
    unit: Unit = "px",
    scale: float | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Draw the regions in a frame, and the waveform and the spectrum of each, as PNG or SVG.

    Args:
        found: the measurement.
        frame: a frame of the clip, (H, W, 3).
        path: the file.
        unit: of lengths; see `units.length_unit`.
        scale: millimetres of a pixel.
        overwrite: whether an existing file is replaced.

    Raises:
        MagkitError: matplotlib is not installed, or the file exists.
    """
    name, factor = length_unit(unit, scale)
    chosen = most_moving(found)
    rows = len(chosen)
    figure = load_matplotlib().Figure(figsize=(12, 4.5 + 2.4 * rows), layout="constrained")
    axes = figure.subplots(rows + 1, 2, height_ratios=[1.8, *[1.0] * rows])
    draw_frame(axes[0, 0], frame, chosen)
    axes[0, 1].axis("off")
    _draw_orbit(figure.add_subplot(axes[0, 1].get_subplotspec()), chosen[0], name, factor)
    for (left, right), result in zip(axes[1:], chosen, strict=True):
        draw_waveform(left, result, found.rate, name, factor)
        draw_spectrum(right, result, name, factor)
    with atomic_path(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, dpi=100, format=path.suffix[1:].lower())


INK = "#010203"  # of text and axes, until it is replaced by the colour of the text around a picture
LONGEST = 1500  # bins of a spectrum that is drawn as lines: longer ones are drawn as pixels


def spectrum_svg(result: RegionResult, unit: Unit = "px", scale: float | None = None) -> str:
    """Return the spectrum of a region as SVG for a page of any colours.

    It has no ground and no title, and axes and text have the colour of the text around it.

    Args:
        result: the region's.
        unit: of lengths; see `units.length_unit`.
        scale: millimetres of a pixel.

    Raises:
        MagkitError: matplotlib is not installed.
    """
    from matplotlib.text import Text

    name, factor = length_unit(unit, scale)
    drawn: Figure = load_matplotlib().Figure(figsize=(8, 2.8), layout="constrained")
    axes = drawn.subplots()
    draw_spectrum(axes, result, name, factor)
    axes.set_title("")
    axes.set_ylim(bottom=0.1 * factor * min(each.floor.min() for each in result.spectra))
    for line in axes.lines:
        line.set_rasterized(len(result.spectra[0].frequencies) > LONGEST)
    axes.tick_params(colors=INK, which="both")
    axes.spines[:].set_edgecolor(INK)
    for text in drawn.findobj(Text):
        text.set_color(INK)
    data = io.StringIO()
    drawn.savefig(data, format="svg", transparent=True, dpi=150, metadata={"Date": None})
    svg = data.getvalue()
    return svg[svg.index("<svg") :].replace(INK, "currentColor")


def most_moving(found: Measurement) -> list[RegionResult]:
    """Return the regions to draw, those that move most first."""
    return sorted(found.regions, key=_largest, reverse=True)[:MOST]


def _largest(result: RegionResult) -> float:
    """Return the amplitude of the greatest tone that is motion, in units of its limit."""
    motions = [f.tone.amplitude / f.tone.limit for f in result.findings if f.cause == "motion"]
    return max(motions, default=0.0)


def draw_frame(axes: Axes, frame: NDArray[Any], results: Sequence[RegionResult]) -> None:
    """Draw a frame (H, W, 3) and the regions in it."""
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import AbstractPathEffect, withStroke

    # Seen on dark and on light ground.
    edge: list[AbstractPathEffect] = [withStroke(linewidth=3, foreground="black")]
    ground = {"facecolor": "black", "alpha": 0.6, "linewidth": 0, "pad": 1}
    axes.imshow(frame.astype(float) / np.iinfo(frame.dtype).max)
    for each in results:
        region, colour = each.track.region, "#ff5a48" if each.vibrates else "white"
        corner = region.left - 0.5, region.top - 0.5
        size = region.width, region.height
        axes.add_patch(
            Rectangle(corner, *size, fill=False, color=colour, linewidth=1.6, path_effects=edge)
        )
        axes.annotate(region.name, corner, color=colour, fontsize=7, va="bottom", bbox=ground)
    axes.set_title("measured regions; red: vibrates", fontsize=9)
    axes.axis("off")


def _draw_orbit(axes: Axes, result: RegionResult, name: str, factor: float) -> None:
    x, y = (result.track.displacement * factor).T
    axes.plot(x, y, linewidth=0.6)
    axes.set_aspect("equal", adjustable="datalim")
    axes.invert_yaxis()
    axes.set_title(f"orbit of {result.track.region.name}", fontsize=9)
    axes.set_xlabel(f"x ({name})")
    axes.set_ylabel(f"y ({name}), down")


def draw_waveform(axes: Axes, result: RegionResult, rate: float, name: str, factor: float) -> None:
    """Draw x and y over time.

    Args:
        axes: where.
        result: the region's.
        rate: frames per second of filming.
        name: of the unit of length.
        factor: of that unit in a pixel.
    """
    moves = result.track.displacement * factor
    time = np.arange(len(moves)) / rate
    for column, (direction, colour) in enumerate(COLOURS.items()):
        axes.plot(time, moves[:, column], color=colour, linewidth=0.7, label=direction)
    axes.set_title(f"{result.track.region.name}: {verdict(result)}", fontsize=9)
    axes.set_xlabel("time (s)")
    axes.set_ylabel(f"displacement ({name})")
    axes.legend(fontsize=7, loc="upper right")


def draw_spectrum(axes: Axes, result: RegionResult, name: str, factor: float) -> None:
    """Draw amplitudes, noise floor and detection limit; the arguments of `draw_waveform`."""
    for (direction, colour), spectrum in zip(COLOURS.items(), result.spectra, strict=True):
        axes.semilogy(
            spectrum.frequencies[1:], _positive(spectrum, factor), color=colour, linewidth=0.7
        )
        axes.semilogy(
            spectrum.frequencies,
            spectrum.floor * factor,
            color=colour,
            linestyle=":",
            linewidth=0.8,
        )
        axes.semilogy(
            spectrum.frequencies,
            spectrum.limit * factor,
            color=colour,
            linestyle="--",
            linewidth=0.8,
        )
        for finding in result.findings[:LABELS]:
            if finding.direction == direction:
                tone, label = (
                    finding.tone,
                    "" if finding.cause == "motion" else f" ({finding.cause})",
                )
                place = tone.frequency, tone.amplitude * factor
                axes.annotate(f"{tone.frequency:.3g} Hz{label}", place, fontsize=7)
    axes.set_title(
        "amplitude; dotted: noise floor, dashed: detection limit, below it is noise", fontsize=8
    )
    axes.set_xlabel("frequency (Hz)")
    axes.set_ylabel(name)


def _positive(spectrum: Spectrum, factor: float) -> NDArray[Any]:
    values: NDArray[Any] = np.maximum(spectrum.amplitudes[1:] * factor, 1e-12)
    return values
