"""The result of `magkit.measure`: arrays, tones, files, and how a notebook shows them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magkit.errors import MagkitError, UsageError
from magkit.measure import export
from magkit.measure.clip import Cause, Direction, Measurement
from magkit.measure.html import counted, figure, headline, interval, tones_table, warnings_list
from magkit.measure.plots import most_moving, save_plot, spectrum_svg
from magkit.measure.spectrum import Spectrum
from magkit.measure.units import Reading, Unit, length_unit
from magkit.runtime.files import atomic_path
from magkit.video import Frame
from magkit.video.charts import load_matplotlib

Array = NDArray[np.floating[Any]]

PLOTS = (".png", ".svg")
MOST_ROWS = 24  # of the table in a notebook
# A class that is named twice outweighs what notebooks say of all tables.
STYLE = """
.magkit-measure { max-width: 56rem; line-height: 1.45; }
.magkit-measure .wide { overflow-x: auto; }
.magkit-measure table { border-collapse: collapse; font-size: .95em; color: inherit;
  font-variant-numeric: tabular-nums; }
div.magkit-measure.magkit-measure :is(th, td) { padding: .25rem .8rem; text-align: left;
  color: inherit; background: none; border: 0; border-bottom: 1px solid rgba(128, 128, 128, .4); }
div.magkit-measure.magkit-measure :is(th, td).n { text-align: right; }
.magkit-measure .noise, .magkit-measure .note { opacity: .7; }
.magkit-measure .motion { font-weight: 600; }
.magkit-measure .note { font-size: .85em; }
.magkit-measure svg { display: block; max-width: 100%; height: auto; }
"""


@dataclass(frozen=True, slots=True)
class MeasuredTone:
    """A tone of a region above its detection limit, in the unit of the result.

    Attributes:
        region: its name.
        direction: "x", to the right, or "y", down.
        frequency: Hz.
        frequency_error: half of its 95 % interval.
        amplitude: as peak, peak to peak or root mean square.
        amplitude_error: half of its 95 % interval.
        limit: amplitude from which on it would have been found.
        amplitude_px: half of peak to peak, pixels.
        phase: of its sine at the first frame, radians.
        cause: "motion", "camera" or "light", see `clip.Finding`.
    """

    region: str
    direction: Direction
    frequency: float
    frequency_error: float
    amplitude: float
    amplitude_error: float
    limit: float
    amplitude_px: float
    phase: float
    cause: Cause


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class MeasureResult:
    """What was measured in a clip, in one unit.

    Arrays have an entry for each of R regions, of T frames, of F frequencies, and for x and y.

    Attributes:
        measurement: everything in pixels.
        frame: the first frame, (H, W, 3).
        unit: of amplitudes.
        scale: millimetres of a pixel; None: unknown.
        reading: whether amplitudes are peak, peak to peak or root mean square.
        clip: the path of the clip; None for one in memory.
    """

    measurement: Measurement
    frame: Frame
    unit: Unit = "px"
    scale: float | None = None
    reading: Reading = "peak"
    clip: str | None = None

    @property
    def fps(self) -> float:
        """Frames per second of filming."""
        return self.measurement.rate

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the regions."""
        return tuple(each.track.region.name for each in self.measurement.regions)

    @property
    def length_unit(self) -> str:
        """The unit of displacements and spectra: `unit`, or its length if it has time."""
        return length_unit(self.unit, self.scale)[0]

    @property
    def times(self) -> Array:
        """Seconds from the first frame, (T,)."""
        return np.arange(self.measurement.frames) / self.fps

    @property
    def displacement(self) -> Array:
        """Displacement over time, x to the right and y down, (R, T, 2), in `length_unit`."""
        moves = [each.track.displacement for each in self.measurement.regions]
        return np.array(moves) * length_unit(self.unit, self.scale)[1]

    @property
    def frequencies(self) -> Array:
        """Hz from 0 to half the rate, (F,)."""
        return self.measurement.regions[0].spectra[0].frequencies

    @property
    def spectra(self) -> Array:
        """Peak displacement of each frequency, (R, 2, F), in `length_unit`."""
        return self._spectra("amplitudes")

    @property
    def floors(self) -> Array:
        """Noise floors of the spectra, (R, 2, F), in `length_unit`; see `Spectrum.floor`."""
        return self._spectra("floor")

    @property
    def limits(self) -> Array:
        """Detection limits, (R, 2, F), in `length_unit`; see `Spectrum.limit`."""
        return self._spectra("limit")

    def _spectra(self, field: str) -> Array:
        def values(spectrum: Spectrum) -> Array:
            found: Array = getattr(spectrum, field)
            return found

        pairs = [[values(each) for each in region.spectra] for region in self.measurement.regions]
        return np.array(pairs) * length_unit(self.unit, self.scale)[1]

    @property
    def tones(self) -> tuple[MeasuredTone, ...]:
        """All tones above the limits, region by region, the greatest first."""
        return tuple(
            MeasuredTone(region=region["name"], **tone)
            for region in self.to_dict()["regions"]
            for tone in region["tones"]
        )

    @property
    def strongest(self) -> MeasuredTone | None:
        """The greatest tone that is motion; None: nothing is above the limits."""
        motions = [tone for tone in self.tones if tone.cause == "motion"]
        return max(motions, key=lambda tone: tone.amplitude_px, default=None)

    @property
    def band(self) -> tuple[float, float] | None:
        """A band in Hz around the greatest tone, for `magkit.magnify`; None: there is no tone."""
        strongest = self.strongest
        return None if strongest is None else self.measurement.band_around(strongest.frequency)

    @property
    def verdicts(self) -> dict[str, str]:
        """What was found in each region, in words, by its name."""
        found = self.measurement.regions
        return {each.track.region.name: export.verdict(each) for each in found}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences that name what may deceive."""
        return self.measurement.warnings

    def to_dict(self) -> dict[str, Any]:
        """Return everything but waveforms and spectra, ready for JSON."""
        return {
            "clip": self.clip,
            **export.as_record(self.measurement, self.unit, self.scale, self.reading),
        }

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the result to a file by its suffix.

        Args:
            path: .json: `to_dict`; .csv: waveforms; .npz: everything; .uff: waveforms as a
                universal file, dataset 58; .png or .svg: a plot.
            overwrite: whether an existing file is replaced.

        Raises:
            UsageError: the suffix is another.
            MagkitError: the file exists or can't be written, or matplotlib is missing for a plot.
        """
        path = Path(path)
        check_file(path, overwrite=overwrite)
        if path.suffix.lower() in PLOTS:
            units = self.unit, self.scale
            save_plot(self.measurement, self.frame, path, *units, overwrite=overwrite)
            return
        with atomic_path(path, overwrite=overwrite) as temporary:
            temporary.write_bytes(self._content(path.suffix.lower()))

    def _content(self, suffix: str) -> bytes:
        if suffix == ".npz":
            return export.as_npz(self.measurement, self.to_dict())
        if suffix == ".json":
            return (json.dumps(self.to_dict(), indent=2) + "\n").encode()
        write = export.as_csv if suffix == ".csv" else export.as_universal_file
        return write(self.measurement, self.unit, self.scale).encode()

    def __repr__(self) -> str:
        """Return a line with the strongest tone."""
        regions, tone = self.measurement.regions, self.strongest
        moving = sum(each.vibrates for each in regions)
        text = f"{moving} of {counted(len(regions), 'region')} vibrating"
        if tone is not None:
            size = f"{interval(tone.amplitude, tone.amplitude_error)} {self.unit}"
            where = f"in {tone.direction} at {tone.region}"
            text += f"; {size} at {figure(tone.frequency, 4)} Hz {where}"
        return f"<MeasureResult: {text}>"

    def _repr_html_(self) -> str:
        """Return a table of the tones, and the spectrum of the region that moves most."""
        record = self.to_dict()
        notes = warnings_list(self.warnings) if self.warnings else ""
        table = tones_table(record, MOST_ROWS, "in to_dict()")
        return (
            f'<div class="magkit-measure"><style>{STYLE}</style><p>{headline(record)}</p>'
            f"{table}{self._spectrum()}{notes}</div>"
        )

    def _spectrum(self) -> str:
        result = most_moving(self.measurement)[0]
        try:
            drawn = spectrum_svg(result, self.unit, self.scale)
        except MagkitError:  # matplotlib is not installed
            return ""
        return (
            f'{drawn}<p class="note">Peak displacement in the region '
            f"{escape(result.track.region.name)}: x in blue, y in orange; dotted is the noise "
            "floor, dashed the detection limit: what is below it is noise.</p>"
        )


def check_file(path: Path, *, overwrite: bool) -> None:
    """Check a file for a result before anything is measured.

    Raises:
        UsageError, MagkitError: as `MeasureResult.save`.
    """
    if path.suffix.lower() not in export.FORMATS:
        raise UsageError(f"{path} must end in one of {', '.join(export.FORMATS)}")
    if path.exists() and not overwrite:
        raise MagkitError(f"{path} exists", "--overwrite replaces it")
    if path.suffix.lower() in PLOTS:
        load_matplotlib()
