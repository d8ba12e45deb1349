"""The report of a vibration: a page, the clip magnified around its strongest tone, the figures.

The magnified clip is measured in the same region, at the same frequency: the ratio of both
amplitudes is the gain that was achieved.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from magkit.errors import UsageError
from magkit.evaluate.report_figures import draw_figures
from magkit.evaluate.report_page import page
from magkit.magnify.band import Band
from magkit.magnify.pipeline import magnify_file
from magkit.measure.checks import lost
from magkit.measure.clip import ALIKE, Finding, Measurement, RegionResult
from magkit.measure.export import as_record
from magkit.measure.read import measure_file
from magkit.measure.regions import Region
from magkit.measure.spectrum import Tone
from magkit.measure.units import Reading, Unit, converted
from magkit.progress import Progress, pass_progress, silent
from magkit.protocols import Magnifier
from magkit.runtime.files import atomic_path, check_folder, file_digest
from magkit.version import __version__
from magkit.video import ReadOptions, VideoSource, WriteOptions, open_video
from magkit.video.charts import load_matplotlib

PAGE, CLIP, RECORD = FILES = ("index.html", "magnified.mp4", "measurement.json")

STEPS = 3  # measure, magnify, measure again


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is measured and magnified.

    Attributes:
        regions: where; none: places with texture are chosen.
        capture_rate: frames per second of filming; None: the clip's.
        unit: of amplitudes.
        scale: millimetres of a pixel; None: unknown, for pixels only.
        reading: peak, peak to peak or root mean square.
        steady: take out the motion of the whole picture.
        factor: of the magnification, 0 to 300.
        bands: that are magnified; none: one around the strongest tone that is motion.
    """

    regions: tuple[Region, ...] = ()
    capture_rate: float | None = None
    unit: Unit = "px"
    scale: float | None = None
    reading: Reading = "peak"
    steady: bool = False
    factor: float = 10.0
    bands: tuple[Band, ...] = ()

    def measure(
        self, video: VideoSource, regions: tuple[Region, ...], progress: Progress
    ) -> Measurement:
        """Measure regions of a clip as it is asked for."""
        return measure_file(
            video,
            regions,
            capture_rate=self.capture_rate,
            steady=self.steady,
            progress=progress,
        )


@dataclass(frozen=True, slots=True)
class Gain:
    """A tone of a region before and after magnification.

    Attributes:
        region: its name.
        direction: of the motion.
        before: the tone in the clip.
        after: the tone in the magnified clip; None: nothing is above the limit at its frequency.
        limit: of the magnified clip at this frequency, pixels.
        notes: sentences that say what makes the result unreliable.
    """

    region: str
    direction: Literal["x", "y"]
    before: Tone
    after: Tone | None
    limit: float
    notes: tuple[str, ...]

    @property
    def ratio(self) -> float | None:
        """The amplitude after over that before."""
        return None if self.after is None else self.after.amplitude / self.before.amplitude

    @property
    def ratio_error(self) -> float | None:
        """Half of its 95 % interval, for independent errors."""
        if self.after is None or self.ratio is None:
            return None
        tones = self.before, self.after
        return self.ratio * math.hypot(*(each.amplitude_error / each.amplitude for each in tones))


def write_report(
    video: VideoSource,
    folder: Path,
    magnifier: Magnifier,
    request: Request,
    *,
    settings: Mapping[str, Any],
    device: torch.device | str = "cpu",
    overwrite: bool = False,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure a clip, magnify it, measure it again, and write what was found.

    Args:
        video: the clip.
        folder: of the results, written atomically: `FILES`, without the clip where nothing is
            magnified.
        magnifier: on `device`.
        request: what is asked for.
        settings: what the page lists as such, by name.
        device: on which frames are magnified.
        overwrite: whether the folder of an earlier report is replaced.
        progress: called after every frame.

    Returns:
        The record that the folder holds as JSON.

    Raises:
        UsageError: a region, the band or the factor is impossible, or the folder holds the clip.
        MagkitError: the clip can't be read or measured, the folder exists or can't be written, or
            matplotlib is not installed.
    """
    check_report_folder(folder, video.path, overwrite=overwrite)
    load_matplotlib()
    with atomic_path(folder, kind="folder", overwrite=overwrite) as made:
        found = request.measure(video, request.regions, pass_progress(progress, 0, STEPS))
        strongest = band_of_strongest(found)
        bands = request.bands or (() if strongest is None else (strongest,))
        record = _record(video, found, request, settings)
        if bands:
            output = made / CLIP
            magnify_file(
                video,
                output,
                magnifier,
                request.factor,
                band=bands,
                capture_rate=request.capture_rate,
                device=device,
                options=WriteOptions(audio="none"),
                progress=pass_progress(progress, 1, STEPS),
            )
            gain = _gain(found, output, bands, request, pass_progress(progress, 2, STEPS))
            record["magnified"] = _magnified(output, bands, gain, request)
        figures = draw_figures(found, next(iter(video)), request.unit, request.scale)
        (made / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        # Names of files may hold bytes that are no text.
        (made / PAGE).write_bytes(page(record, figures).encode("utf-8", "replace"))
    return record


def check_report_folder(folder: Path, clip: Path, *, overwrite: bool) -> None:
    """Refuse an existing folder, unless an earlier report's is to be overwritten.

    Raises:
        UsageError: it is the clip, or holds it.
        MagkitError: it exists, or holds other files than an earlier report's.
    """
    place, source = folder.resolve(), clip.resolve()
    if place == source or (folder.is_dir() and place in source.parents and overwrite):
        raise UsageError(f"the output {folder} is or holds the input", "choose another output")
    check_folder(folder, FILES, "report", overwrite=overwrite)


def band_of_strongest(found: Measurement) -> Band | None:
    """Return a band around the strongest tone that is motion; None if there is none."""
    strongest = found.strongest()
    return None if strongest is None else Band(*found.band_around(strongest[1].tone.frequency))


def _gain(
    found: Measurement,
    output: Path,
    bands: Sequence[Band],
    request: Request,
    progress: Progress,
) -> Gain | None:
    """Measure the strongest tone of the bands in the magnified clip; None: there is no tone."""
    each = [found.strongest(band.low, band.high) for band in bands]
    tones = [strongest for strongest in each if strongest is not None]
    if not tones:
        return None
    result, finding = max(tones, key=lambda strongest: strongest[1].tone.amplitude)
    video = open_video(output, ReadOptions(deep=True))
    after = request.measure(video, (result.track.region,), progress)
    tone, limit = _same(after.regions[0], finding, ALIKE * found.rate / found.frames)
    name = result.track.region.name
    return Gain(name, finding.direction, finding.tone, tone, limit, tuple(lost(after)))


def _same(result: RegionResult, finding: Finding, near: float) -> tuple[Tone | None, float]:
    """Return the tone of a region at the frequency of another's, and the limit there, pixels."""
    spectrum = result.spectra["xy".index(finding.direction)]
    frequency = finding.tone.frequency
    tones = [each for each in spectrum.tones if abs(each.frequency - frequency) < near]
    bin_number = abs(spectrum.frequencies - frequency).argmin()
    return max(tones, key=lambda each: each.amplitude, default=None), float(
        spectrum.limit[bin_number]
    )


def _record(
    video: VideoSource, found: Measurement, request: Request, settings: Mapping[str, Any]
) -> dict[str, Any]:
    info, path = video.info, video.path
    return {
        "clip": {
            "name": path.name,
            "width": info.width,
            "height": info.height,
            "frames": found.frames,
            "rate": float(info.rate),
            "seconds": found.frames / float(info.rate),
            "bytes": path.stat().st_size if path.is_file() else None,
            "sha256": file_digest(path) if path.is_file() else None,
        },
        **as_record(found, request.unit, request.scale, request.reading),
        "magnified": None,
        "settings": {name: value for name, value in settings.items() if value not in (None, [])},
        "magkit": __version__,
    }


def _magnified(
    output: Path, bands: Sequence[Band], gain: Gain | None, request: Request
) -> dict[str, Any]:
    return {
        "file": output.name,
        "sha256": file_digest(output),
        "factor": request.factor,
        "bands": [[band.low, band.high] for band in bands],
        "gain": None if gain is None else _gain_record(gain, request),
    }


def _gain_record(gain: Gain, request: Request) -> dict[str, Any]:
    def in_unit(pixels: float) -> float:
        frequency = gain.before.frequency
        return converted(pixels, frequency, request.unit, request.scale, request.reading)

    after = gain.after
    return {
        "region": gain.region,
        "direction": gain.direction,
        "frequency": gain.before.frequency,
        "before": in_unit(gain.before.amplitude),
        "before_error": in_unit(gain.before.amplitude_error),
        "after": None if after is None else in_unit(after.amplitude),
        "after_error": None if after is None else in_unit(after.amplitude_error),
        "after_limit": in_unit(gain.limit) if math.isfinite(gain.limit) else None,
        "ratio": gain.ratio,
        "ratio_error": gain.ratio_error,
        "warnings": list(gain.notes),
    }
