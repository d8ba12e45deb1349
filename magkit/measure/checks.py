"""Warnings about a measurement: what may deceive, and why."""

from __future__ import annotations

import math

import numpy as np

from magkit.measure.clip import Measurement
from magkit.measure.displacement import LOST

PERIOD = 5  # frames in a period from which on a waveform is well sampled
MAINS = (100.0, 120.0)  # Hz: light flickers at twice the frequency of the mains
REPEATED = 0.5  # share of equal pixels from which on a codec has removed changes
ROLLING = 5.0  # Hz: from here on, the time to read a frame is a visible part of a period
X264 = "x264 leaves half of a motion of 0.2 px at CRF 23, a seventh of 0.1 px"
HIGH_SPEED = 500.0  # frames per second: cameras of this rate expose all rows at once


def cautions(found: Measurement, bits_per_pixel: float | None = None) -> list[str]:
    """Return sentences that say what may deceive.

    Args:
        found: the measurement.
        bits_per_pixel: of the coded file; None: unknown, or not coded.
    """
    return [
        *_sampling(found),
        *_light(found),
        *_camera(found),
        *_coding(found, bits_per_pixel),
        *lost(found),
    ]


def _tones(found: Measurement) -> list[float]:
    """Return the frequencies of motion, each once."""
    bins = {
        round(f.tone.frequency * found.frames / found.rate): f.tone.frequency
        for region in found.regions
        for f in region.findings
        if f.cause == "motion"
    }
    return sorted(bins.values())


def _sampling(found: Measurement) -> list[str]:
    tones = _tones(found)
    fast = [tone for tone in tones if found.rate < PERIOD * tone]
    notes = []
    if fast:
        listed = ", ".join(f"{tone:.3g}" for tone in fast)
        notes.append(
            f"fewer than {PERIOD} frames in a period at {listed} Hz: this may be the alias of a "
            f"faster vibration. Film at {PERIOD * max(fast):.0f} frames per second or more, or at "
            "another rate, at which an alias would move"
        )
    if tones and max(tones) > ROLLING and found.rate < HIGH_SPEED:
        notes.append(
            "most cameras expose the rows of a frame one after another: phases differ from the top "
            "to the bottom of the picture"
        )
    return notes


def _light(found: Measurement) -> list[str]:
    notes = []
    for tone in found.light[1].tones:
        percent = 100 * tone.amplitude
        if percent < 0.05:
            continue
        aliases = {mains: abs(mains - round(mains / found.rate) * found.rate) for mains in MAINS}
        width = 2 * found.rate / found.frames
        lamp = [mains for mains, seen in aliases.items() if abs(seen - tone.frequency) < width]
        cause = f"lamps flicker at {lamp[0]:g} Hz" if lamp else "the light or the exposure changes"
        notes.append(
            f"brightness changes by {percent:.2g} % at {tone.frequency:.3g} Hz: {cause}. Small "
            "motions at this frequency are not told from it"
        )
    return notes


def _camera(found: Measurement) -> list[str]:
    if found.camera_spectra is None:
        return ["too few places over the picture have texture to tell whether the camera moves"]
    if found.steady:
        return []
    tones = [
        (tone.amplitude, tone.frequency, direction)
        for direction, spectrum in zip("xy", found.camera_spectra, strict=True)
        for tone in spectrum.tones
    ]
    return [
        f"the whole picture moves by {amplitude:.2g} px at {frequency:.3g} Hz in {direction}: the "
        "camera shakes, or everything in view does. --steady takes it out"
        for amplitude, frequency, direction in sorted(tones, reverse=True)[:3]
    ]


def _coding(found: Measurement, bits_per_pixel: float | None) -> list[str]:
    if found.repeated < REPEATED or bits_per_pixel is None:
        return []
    note = (
        f"{100 * found.repeated:.0f} % of the pixels repeat from frame to frame, at "
        f"{bits_per_pixel:.2g} bits per pixel: the codec has removed small changes. {X264}. Record "
        "at a high rate, or uncompressed"
    )
    return [note]


def lost(found: Measurement) -> list[str]:
    """Return a sentence for each region that is not found again in some frames."""
    notes = []
    for region in found.regions:
        share = float(np.mean(region.track.correlation < LOST))
        if share > 0.02 and math.isfinite(share):
            notes.append(
                f"the region {region.track.region.name} is not found again in {100 * share:.0f} % "
                "of the frames: its displacement is not reliable there"
            )
    return notes
