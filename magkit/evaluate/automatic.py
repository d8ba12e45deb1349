"""The frequency band of what vibrates most in a clip."""

from __future__ import annotations

from magkit.errors import MagkitError
from magkit.magnify.band import Band
from magkit.measure.clip import Measurement
from magkit.measure.read import measure_file
from magkit.measure.regions import grid
from magkit.progress import Progress, silent
from magkit.video import VideoSource

SIDE = 80  # pixels of the parts, about, in which the whole picture is measured
PARTS, LEAST = 4, 16  # of a side that is shorter: the parts, and their least size in pixels


def automatic_band(
    video: VideoSource, capture_rate: float | None = None, progress: Progress = silent
) -> tuple[Band, str]:
    """Choose a band around the greatest vibration that is above its detection limit.

    The whole picture is measured in parts, without the camera's motion.

    Args:
        video: the clip.
        capture_rate: frames per second of filming, if the clip plays at another speed.
        progress: called after every frame.

    Returns:
        The band, and a sentence that says why.

    Raises:
        MagkitError: nothing in the clip is above the limit, or it is too short or too small.
    """
    columns, rows = (_parts(size) for size in (video.info.width, video.info.height))
    places = grid(video.info.height, video.info.width, columns, rows)
    found = measure_file(video, places, capture_rate=capture_rate, steady=True, progress=progress)
    frequency = _most_moving(found)
    strongest = None
    if frequency is not None:
        band, width = Band(*found.band_around(frequency)), found.rate / found.frames
        strongest = found.strongest(frequency - width, frequency + width)
    if strongest is None:
        raise MagkitError(
            "nothing in the clip vibrates above the detection limit: there is no band to choose",
            "magkit measure shows the limits; --band LO-HI names a band all the same",
        )
    region, finding = strongest
    x, y = region.track.region.centre
    tone = finding.tone
    return band, (
        f"band {band}: around {x:.0f},{y:.0f} the picture moves by {tone.amplitude:.2g} px at "
        f"{tone.frequency:.4g} Hz in {finding.direction}, {tone.amplitude / tone.limit:.1f} times "
        "the detection limit there"
    )


def _most_moving(found: Measurement) -> float | None:
    """Return the frequency, in Hz, at which regions move most, all together."""
    motions = [
        finding.tone
        for region in found.regions
        for finding in region.findings
        if finding.cause == "motion"
    ]
    totals: dict[int, float] = {}
    for tone in motions:
        # Neighbouring bins share a tone.
        centre = tone.frequency * found.frames / found.rate
        for number in {int(centre), int(centre) + 1}:
            totals[number] = totals.get(number, 0.0) + tone.amplitude
    if not totals:
        return None
    most = max(totals, key=lambda each: totals[each]) * found.rate / found.frames
    near = min(motions, key=lambda tone: abs(tone.frequency - most))
    return near.frequency


def _parts(size: int) -> int:
    """Return into how many parts a side is divided; few of them don't tell the camera's motion."""
    return max(round(size / SIDE), min(PARTS, size // LEAST), 1)
