"""The pictures of a report as data URIs: a still with the regions, waveforms and spectra."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray
from PIL import Image

from magkit.measure.clip import Measurement, RegionResult
from magkit.measure.plots import draw_frame, draw_spectrum, draw_waveform, most_moving
from magkit.measure.units import Unit, length_unit
from magkit.video.charts import load_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STILL_WIDTH, STILL_HEIGHT = 8.0, 9.0  # inches, at most
CHART = 5.2, 2.8  # inches
DPI = 160
COLOURS = 32  # of a chart: three lines' and their edges


@dataclass(frozen=True, slots=True)
class Chart:
    """The waveform and the spectrum of a region, as data URIs."""

    region: str
    waveform: str
    spectrum: str


@dataclass(frozen=True, slots=True)
class Figures:
    """The pictures of a report.

    Attributes:
        still: the first frame with the regions, a data URI.
        charts: of regions that vibrate, those that move most first; of `plots.MOST` at most.
    """

    still: str
    charts: tuple[Chart, ...]


def draw_figures(
    found: Measurement, frame: NDArray[Any], unit: Unit = "px", scale: float | None = None
) -> Figures:
    """Draw the pictures of a report.

    Args:
        found: the measurement.
        frame: the first frame of the clip, (H, W, 3).
        unit: of lengths; see `units.length_unit`.
        scale: millimetres of a pixel.

    Raises:
        MagkitError: matplotlib is not installed.
    """
    name, factor = length_unit(unit, scale)
    charts = []
    for each in most_moving(found):
        if not each.vibrates:
            continue
        wave, spectrum = _figure(*CHART), _figure(*CHART)
        draw_waveform(wave.subplots(), each, found.rate, name, factor)
        draw_spectrum(spectrum.subplots(), each, name, factor)
        charts.append(Chart(each.track.region.name, _chart_uri(wave), _chart_uri(spectrum)))
    return Figures(_still(frame, found.regions), tuple(charts))


def _still(frame: NDArray[Any], regions: Sequence[RegionResult]) -> str:
    height, width = frame.shape[:2]
    size = min(STILL_WIDTH / width, STILL_HEIGHT / height)
    figure = _figure(width * size, height * size + 0.3)
    draw_frame(figure.subplots(), frame, regions)
    data = io.BytesIO()
    figure.savefig(data, format="jpeg", dpi=DPI)
    return _uri("jpeg", data.getvalue())


def _figure(width: float, height: float) -> Figure:
    made: Figure = load_matplotlib().Figure(figsize=(width, height), layout="constrained")
    return made


def _chart_uri(figure: Figure) -> str:
    """Return lines on white as PNG with a palette, which takes a third of the room."""
    drawn, data = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    with Image.open(drawn) as picture:
        picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
            data, "png", optimize=True
        )
    return _uri("png", data.getvalue())


def _uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
