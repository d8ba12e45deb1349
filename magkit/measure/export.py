"""Results of a measurement as records, CSV, NPZ, universal files and SEP005 records."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from magkit.measure.clip import DIRECTIONS, Finding, Measurement, RegionResult
from magkit.measure.units import Reading, Unit, converted, length_unit

LINE = 80  # characters of a universal file's lines
FORMATS = (".json", ".csv", ".npz", ".uff", ".png", ".svg")


def as_record(
    found: Measurement, unit: Unit = "px", scale: float | None = None, reading: Reading = "peak"
) -> dict[str, Any]:
    """Return everything but waveforms, ready for JSON.

    Args:
        found: the measurement.
        unit: of amplitudes; see `units.UNITS`.
        scale: millimetres of a pixel, if known.
        reading: whether amplitudes are peak, peak to peak or rms.
    """
    units = unit, scale, reading
    return {
        "frames": found.frames,
        "rate": found.rate,
        "unit": unit,
        "reading": reading,
        "mm_per_px": scale,
        "steady": found.steady,
        "repeated_pixels": found.repeated,
        "regions": [_region(each, found.rate, *units) for each in found.regions],
        "camera": _camera(found, *units),
        "brightness": [
            {"frequency": tone.frequency, "relative_amplitude": tone.amplitude}
            for tone in found.light[1].tones
        ],
        "warnings": list(found.warnings),
    }


def _region(
    result: RegionResult, rate: float, unit: Unit, scale: float | None, reading: Reading
) -> dict[str, Any]:
    region, track = result.track.region, result.track
    middle = rate / 4
    limits = [float(np.interp(middle, s.frequencies, s.limit)) for s in result.spectra]
    return {
        "name": region.name,
        "roi": [region.left, region.top, region.width, region.height],
        "vibrates": result.vibrates,
        "verdict": verdict(result),
        "tones": [_tone(each, unit, scale, reading) for each in result.findings],
        "noise_px": [float(each) for each in track.deviation],
        "limit_frequency": middle,
        "limit": [converted(each, middle, unit, scale, reading) for each in limits],
        "lowest_correlation": float(track.correlation.min()),
    }


def verdict(result: RegionResult) -> str:
    """Return in words what was found: whether anything is above the detection limit, and why."""
    if result.vibrates:
        return "vibrates"
    causes = {finding.cause for finding in result.findings}
    if "camera" in causes:
        return "moves as the whole picture does"
    if "light" in causes:
        return "light changes, no motion is told from it"
    return "noise: nothing above the detection limit"


def _tone(finding: Finding, unit: Unit, scale: float | None, reading: Reading) -> dict[str, Any]:
    tone = finding.tone
    in_unit = {
        name: converted(getattr(tone, name), tone.frequency, unit, scale, reading)
        for name in ("amplitude", "amplitude_error", "limit")
    }
    return {
        "direction": finding.direction,
        "frequency": tone.frequency,
        "frequency_error": float(tone.frequency_error),
        **in_unit,
        "amplitude_px": tone.amplitude,
        "phase": tone.phase,
        "cause": finding.cause,
    }


def _camera(
    found: Measurement, unit: Unit, scale: float | None, reading: Reading
) -> list[dict[str, Any]] | None:
    if found.camera_spectra is None:
        return None
    pairs = zip(DIRECTIONS, found.camera_spectra, strict=True)
    tones = [Finding(each, tone, "camera") for each, spectrum in pairs for tone in spectrum.tones]
    return [_tone(each, unit, scale, reading) for each in tones]


def as_csv(found: Measurement, unit: Unit = "px", scale: float | None = None) -> str:
    """Return waveforms, a column for the time in seconds and two for each region."""
    name, factor = length_unit(unit, scale)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    titles = [f"{r.track.region.name} {d} ({name})" for r in found.regions for d in "xy"]
    writer.writerow(["time (s)", *titles])
    columns = np.hstack([each.track.displacement * factor for each in found.regions])
    for number, row in enumerate(columns):
        writer.writerow([f"{number / found.rate:.9g}", *(f"{value:.9g}" for value in row)])
    return text.getvalue()


def as_npz(found: Measurement, record: dict[str, Any]) -> bytes:
    """Return waveforms in pixels, spectra, floors and limits as NPZ; "record" is JSON."""
    spectra = [region.spectra for region in found.regions]
    arrays = {
        "displacement": np.array([each.track.displacement for each in found.regions]),
        "correlation": np.array([each.track.correlation for each in found.regions]),
        "frequencies": found.regions[0].spectra[0].frequencies,
        **{
            name: np.array([[getattr(each, field) for each in pair] for pair in spectra])
            for name, field in (("spectrum", "amplitudes"), ("floor", "floor"), ("limit", "limit"))
        },
        "brightness": found.light[0],
        "record": np.array(json.dumps(record)),
    }
    data = io.BytesIO()
    np.savez_compressed(data, **arrays)  # type: ignore[arg-type]
    return data.getvalue()


def as_universal_file(found: Measurement, unit: Unit = "px", scale: float | None = None) -> str:
    """Return waveforms as a universal file, dataset 58 (SDRC I-DEAS), ASCII.

    A time response for each region (node 1, 2, ...) and direction: +X to the right, -Y down.
    """
    name, factor = length_unit(unit, scale)
    parts = []
    for node, result in enumerate(found.regions, 1):
        for column, direction in enumerate((1, -2)):
            values = result.track.displacement[:, column] * factor
            parts.append(_dataset_58(values, found.rate, node, direction, result, name))
    return "".join(parts)


def _dataset_58(
    values: Sequence[float] | np.ndarray[Any, Any],
    rate: float,
    node: int,
    direction: int,
    result: RegionResult,
    unit: str,
) -> str:
    title = f"displacement of region {result.track.region.name} in {unit}"
    lines = ["    -1", "    58", title, "NONE", "NONE", "NONE", "NONE"]
    # Time response, identification, version, load case; response and reference: entity, node.
    point = f" {'NONE':10s}{node:10d}{direction:4d}"
    lines.append(f"{1:5d}{node:10d}{0:5d}{0:10d}{point}{point}")
    # Real, double precision; evenly spaced.
    lines.append(f"{4:10d}{len(values):10d}{1:10d}{0.0:13.5E}{1 / rate:13.5E}{0.0:13.5E}")
    for kind, label, units in (
        (17, "Time", "s"),
        (8, "Displacement", unit),
        (0, "NONE", "NONE"),
        (0, "NONE", "NONE"),
    ):
        lines.append(f"{kind:10d}{0:5d}{0:5d}{0:5d} {label:20s} {units:20s}")
    lines += [
        "".join(f"{value:20.12E}" for value in values[start : start + 4])
        for start in range(0, len(values), 4)
    ]
    lines.append("    -1")
    return "".join(f"{line[:LINE].rstrip()}\n" for line in lines)


def as_sep005(
    found: Measurement, unit: Unit = "px", scale: float | None = None
) -> list[dict[str, Any]]:
    """Return waveforms as SEP005 records: data, name, fs and unit_str of each channel."""
    name, factor = length_unit(unit, scale)
    return [
        {
            "data": each.track.displacement[:, column] * factor,
            "name": f"{each.track.region.name} {direction}",
            "fs": found.rate,
            "unit_str": name,
        }
        for each in found.regions
        for column, direction in enumerate("xy")
    ]
