"""Measures a clip: waveforms and spectra of regions, and whether what they show is real."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from magkit.errors import MagkitError
from magkit.measure.displacement import AVERAGE, LOST, Track, track
from magkit.measure.regions import Region, textured
from magkit.measure.spectrum import MIN_FRAMES, Spectrum, Tone, analyze, evenly_spaced

Array = NDArray[np.floating[Any]]
Direction = Literal["x", "y"]
Cause = Literal["motion", "camera", "light"]

DIRECTIONS: tuple[Direction, Direction] = ("x", "y")

MIN_OTHERS = 4  # places that tell what the rest of the picture does
SPREAD = 0.8  # of them: their extent over the frame's, width and height together
ALIKE = 1.0  # bins: tones closer than this are the same
LINEARITY = 0.003  # of a region's strongest tone: what interpolation and sampling make of it
CAMERA_SHARE = 0.5  # of a tone's amplitude: what the whole picture moves as well
SIDEBAND = 0.1  # of a tone's frequency: half the width of the band around it, at least
SIDE_BINS = 2.0  # half the width at least, so that the filter settles within the clip
LIGHT_MOTION = 10.0  # pixels that a place seems to move where its light changes by its own amount


@dataclass(frozen=True, slots=True)
class Finding:
    """A tone of a region.

    Attributes:
        direction: "x", to the right, or "y", down.
        tone: its frequency and amplitude.
        cause: "motion" of the region; "camera" where the whole picture moves as well; "light" where
            brightness changes at this frequency so much that the region only seems to move.
    """

    direction: Direction
    tone: Tone
    cause: Cause


@dataclass(frozen=True, slots=True)
class RegionResult:
    """What was measured in a region.

    Attributes:
        track: displacements; at even times.
        spectra: in x and y.
        findings: tones above the detection limit, the greatest first.
    """

    track: Track
    spectra: tuple[Spectrum, Spectrum]
    findings: tuple[Finding, ...]

    @property
    def vibrates(self) -> bool:
        """Whether a tone is motion of the region."""
        return any(finding.cause == "motion" for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was measured in a clip.

    Attributes:
        rate: frames per second of filming.
        regions: a result for each.
        camera: displacement of the whole picture, pixels (T, 2): the median of places all over it;
            None if there are too few.
        camera_spectra: its spectra.
        light: relative brightness of the frames, (T,), and its spectrum.
        repeated: share of pixels that are equal in successive frames.
        warnings: sentences.
    """

    rate: float
    regions: tuple[RegionResult, ...]
    camera: Array | None
    camera_spectra: tuple[Spectrum, Spectrum] | None
    light: tuple[Array, Spectrum]
    repeated: float
    steady: bool
    warnings: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """The number of frames."""
        return len(self.light[0])

    def band_around(self, frequency: float) -> tuple[float, float]:
        """Return the lowest and the highest frequency of a band around one, Hz.

        It is wide enough for the filter of `magkit magnify` to settle within the clip.
        """
        half = max(SIDEBAND * frequency, SIDE_BINS * self.rate / self.frames)
        # Halfway to half the rate at most, which no band reaches.
        high = min(frequency + half, (frequency + self.rate / 2) / 2)
        return max(frequency - half, frequency / 4), high

    def strongest(
        self, low: float = 0.0, high: float = np.inf
    ) -> tuple[RegionResult, Finding] | None:
        """Return the greatest tone that is motion, and its region; None if there is none.

        Args:
            low: Hz, the least of its frequencies.
            high: Hz, the greatest.
        """
        motions = [
            (region, finding)
            for region in self.regions
            for finding in region.findings
            if finding.cause == "motion" and low <= finding.tone.frequency <= high
        ]
        return max(motions, key=lambda each: each[1].tone.amplitude, default=None)


class _Watched:
    """Passes frames on, and notes their brightness and how much of them repeats."""

    def __init__(self, frames: Iterable[Array]) -> None:
        self.frames, self.means, self.repeats = frames, list[float](), list[float]()

    def __iter__(self) -> Iterator[Array]:
        last: Array | None = None
        for frame in self.frames:
            self.means.append(float(frame.mean()))
            if last is not None:
                self.repeats.append(float((frame == last).mean()))
            last = frame
            yield frame


def measure_frames(
    frames: Iterable[Array],
    rate: float,
    regions: Sequence[Region] = (),
    *,
    average: int = AVERAGE,
    steady: bool = False,
    times: Sequence[float] | None = None,
) -> Measurement:
    """Measure regions of a clip.

    Args:
        frames: brightness (H, W) of each, 0 to 1; read once.
        rate: frames per second of filming.
        regions: where; none: places with texture are chosen.
        average: number of frames whose aligned mean is the reference.
        steady: take the motion of the whole picture out of each region's.
        times: of each frame in seconds, if unevenly spaced: displacements are interpolated to even
            times.

    Raises:
        UsageError: a region is outside the frame, or too small.
        MagkitError: the clip has fewer than 16 frames, or no texture.
    """
    stream = iter(frames)
    first = next(stream, None)
    if first is None:
        raise MagkitError("the clip has no frames")
    chosen = list(regions) or textured(first)
    if not chosen:
        raise MagkitError(
            "nothing in the clip has enough texture to measure", "--roi X,Y,W,H names a region"
        )
    others = textured(first, regions) if regions else []
    watched = _Watched(chain([first], stream))
    tracks = [_even(each, times, rate) for each in track(watched, [*chosen, *others], average)]
    if len(tracks[0].displacement) < MIN_FRAMES:
        count = len(tracks[0].displacement)
        raise MagkitError(
            f"a clip of {count} frames is too short for a spectrum", f"at least {MIN_FRAMES} frames"
        )
    brightness = evenly_spaced(np.array(watched.means), times, rate)
    return _judged(
        tracks[: len(chosen)],
        _camera(tracks[len(chosen) :] or tracks, first.shape),
        brightness / max(brightness.mean(), 1e-6),
        rate,
        steady=steady,
        repeated=float(np.mean(watched.repeats)),
    )


def _camera(tracks: Sequence[Track], size: Sequence[int]) -> tuple[Array, float] | None:
    """Return the motion of the whole picture, and the standard deviation of its noise.

    None if too few places are known, or all of them may be parts of one object.
    """
    found = [each for each in tracks if np.median(each.correlation) > LOST]
    extent = np.ptp([each.region.centre for each in found] or [(0, 0)], 0) / tuple(reversed(size))
    if len(found) < MIN_OTHERS or extent.sum() < SPREAD:
        return None
    moves = np.array([each.displacement - each.displacement.mean(0) for each in found])
    # The median of n equal normal variables has pi / 2 times the variance of their mean.
    noise = np.median([each.deviation.mean() for each in found]) * np.sqrt(np.pi / 2 / len(found))
    return np.median(moves, 0), float(noise)


def _judged(
    tracks: Sequence[Track],
    camera: tuple[Array, float] | None,
    light: Array,
    rate: float,
    *,
    steady: bool,
    repeated: float,
) -> Measurement:
    shake = None if camera is None else _spectra(camera[0], rate, np.full(2, camera[1]))
    flicker = analyze(light, rate, 1e-5)
    results = []
    for each in tracks:
        moves = each.displacement - camera[0] if steady and camera else each.displacement
        spectra = _spectra(moves, rate, each.deviation)
        contrast = analyze(each.brightness, rate, 1e-5)
        findings = _findings(
            spectra, None if steady else shake, (flicker, contrast), rate / len(light)
        )
        results.append(RegionResult(replace(each, displacement=moves), spectra, findings))
    shown = None if camera is None else camera[0]
    return Measurement(rate, tuple(results), shown, shake, (light, flicker), repeated, steady)


def _spectra(moves: Array, rate: float, deviation: Array) -> tuple[Spectrum, Spectrum]:
    x, y = (analyze(moves[:, axis], rate, float(deviation[axis])) for axis in (0, 1))
    return x, y


def _findings(
    spectra: tuple[Spectrum, Spectrum],
    shake: tuple[Spectrum, Spectrum] | None,
    light: Sequence[Spectrum],
    bin_width: float,
) -> tuple[Finding, ...]:
    found = []
    strongest = max((tone.amplitude for each in spectra for tone in each.tones), default=0.0)
    for axis, (direction, spectrum) in enumerate(zip(DIRECTIONS, spectra, strict=True)):
        for tone in spectrum.tones:
            if tone.amplitude < LINEARITY * strongest:
                continue
            changes = max(_amplitude(each, tone, bin_width) for each in light)
            moved = 0.0 if shake is None else _amplitude(shake[axis], tone, bin_width)
            cause: Cause = "motion"
            if tone.amplitude < LIGHT_MOTION * changes:
                cause = "light"
            elif moved > CAMERA_SHARE * tone.amplitude:
                cause = "camera"
            found.append(Finding(direction, tone, cause))
    return tuple(sorted(found, key=lambda finding: -finding.tone.amplitude))


def _amplitude(spectrum: Spectrum, tone: Tone, bin_width: float) -> float:
    """Return the amplitude of a spectrum's tone at the frequency of another, 0 if it has none."""
    same = [t for t in spectrum.tones if abs(t.frequency - tone.frequency) < ALIKE * bin_width]
    return max((each.amplitude for each in same), default=0.0)


def _even(found: Track, times: Sequence[float] | None, rate: float) -> Track:
    return replace(
        found,
        displacement=evenly_spaced(found.displacement, times, rate),
        correlation=evenly_spaced(found.correlation, times, rate),
        brightness=evenly_spaced(found.brightness, times, rate),
    )
