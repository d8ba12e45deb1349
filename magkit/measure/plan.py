"""Forecast of a recording of a vibration: detection limit, sampling, blur, and file rate.

The limit is that of `magkit measure` for white noise: the Cramer-Rao limit of a displacement, and
the threshold of a tone in its spectrum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from magkit.errors import UsageError
from magkit.measure.checks import PERIOD, X264
from magkit.measure.regions import MIN_SIDE
from magkit.measure.spectrum import MIN_CYCLES, MIN_FRAMES, threshold, white_noise_floor
from magkit.measure.units import Reading, Unit, converted

# Root mean square gradient in one direction, grey levels of 255 per pixel. Rich: a speckle pattern
# or wood grain that fills the range; a patch of natural texture has 10 to 20. Weak: skin, paint or
# a lawn out of focus, the median of squares in clips of people and rooms (1 to 3).
TEXTURES = {"rich": 13.0, "weak": 2.0}
NOISE = 2.5  # grey levels: a hundredth of full scale, that of a good camera in room light
SIDE = 64  # pixels
SURE = 1.75  # of the limit: at least 95 of 100 such tones are found, against a third at the limit
HOPELESS = 100.0  # times the limit would have to fall
KEPT = 0.97  # of the amplitude that the longest exposure leaves
BLURRED = 1.0  # pixels of motion during an exposure, from which on texture loses contrast
CODED = 0.5  # pixels: motions below lose by x264 at CRF 23
DEPTHS = (8, 12)  # bits of a raw pixel
RANGE = 1e-9, 1e9  # of every number that is given


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording to be made.

    Attributes:
        scale: millimetres of a pixel in the plane of the motion.
        rate: frames per second.
        seconds: its length.
        exposure: of a frame in seconds, at most 1 / rate.
        noise: standard deviation of a pixel, grey levels of 255.
        side: of the measured square, pixels.
        size: width and height in pixels; None: unknown.

    Raises:
        UsageError: a value is not a number above 0, the exposure is longer than a frame, the
            region too small, or the recording too short.
    """

    scale: float
    rate: float
    seconds: float
    exposure: float
    noise: float = NOISE
    side: int = SIDE
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        named = {
            "size of a pixel": self.scale,
            "frame rate": self.rate,
            "length in seconds": self.seconds,
            "exposure": self.exposure,
            "noise": self.noise,
            "width": 1 if self.size is None else self.size[0],
            "height": 1 if self.size is None else self.size[1],
        }
        for name, value in named.items():
            check_positive(name, value)
        if self.exposure > (1 + 1e-6) / self.rate:
            raise UsageError(
                f"an exposure of {1000 * self.exposure:g} ms is longer than a frame at "
                f"{self.rate:g} per second",
                f"at most {1000 / self.rate:.4g} ms",
            )
        if not MIN_SIDE <= self.side <= RANGE[1]:
            raise UsageError(
                f"a region of {self.side} pixels is too small", f"at least {MIN_SIDE} a side"
            )
        if self.frames < MIN_FRAMES:
            raise UsageError(
                f"a recording of {self.frames} frames is too short for a spectrum",
                f"at least {MIN_FRAMES} frames: {MIN_FRAMES / self.rate:.3g} s",
            )

    @property
    def frames(self) -> int:
        """The number of frames."""
        return round(self.seconds * self.rate)

    def limit(self, gradient: float) -> float:
        """Return the smallest amplitude of a tone that is above the detection limit, pixels.

        Args:
            gradient: root mean square gradient in the direction of the motion, grey levels of 255
                per pixel.
        """
        # Cramer-Rao: the sum of squared gradients over the region is (gradient side)^2.
        deviation = self.noise / (gradient * self.side)
        return threshold(self.frames) * white_noise_floor(deviation, self.frames)

    def megabytes_per_second(self, bits: int) -> float | None:
        """Return the rate of raw data, 10^6 bytes per second; one value per pixel."""
        if self.size is None:
            return None
        return self.size[0] * self.size[1] * self.rate * bits / 8e6


@dataclass(frozen=True, slots=True)
class Expected:
    """An expected vibration: its value, such as 4.5 mm/s rms.

    Raises:
        UsageError: the value is not a number above 0.
    """

    value: float
    unit: Unit
    reading: Reading

    def __post_init__(self) -> None:
        check_positive("amplitude", self.value)

    def pixels(self, frequency: float, scale: float) -> float:
        """Return the amplitude, half of peak to peak, in pixels."""
        return self.value / converted(1.0, frequency, self.unit, scale, self.reading)


@dataclass(frozen=True, slots=True)
class Detection:
    """What is seen of a vibration on a texture.

    Attributes:
        texture: its name.
        limit_px: amplitude of the vibration, half of peak to peak, from which on it is above the
            limit; infinite where the exposure removes it.
        limit_um: likewise, micrometres.
        limit_mm_s: velocity, mm/s rms.
        limit_g: acceleration, g rms.
        margin: expected amplitude over the limit; None: none is expected.
        seen: whether the expected vibration is safely above the limit, at its frequency or at an
            alias; None: none is expected.
        verdict: in words.
    """

    texture: str
    limit_px: float
    limit_um: float
    limit_mm_s: float
    limit_g: float
    margin: float | None
    seen: bool | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a recording shows of a frequency.

    Attributes:
        frequency: Hz.
        frames_per_period: at the recording's rate.
        least_rate: frames per second for five frames in a period.
        alias: Hz at which it seems to be, if the rate is at most twice the frequency; else None.
        exposure_factor: share of the amplitude that the exposure leaves.
        longest_exposure_ms: that leaves 97 %, milliseconds.
        expected_px: expected amplitude, half of peak to peak; None: none is expected.
        blur_px: the greatest displacement of the expected vibration during an exposure.
        detections: on each texture.
    """

    frequency: float
    frames_per_period: float
    least_rate: float
    alias: float | None
    exposure_factor: float
    longest_exposure_ms: float
    expected_px: float | None
    blur_px: float | None
    detections: tuple[Detection, ...]


def check_positive(name: str, value: float) -> None:
    """Refuse what is not a number above 0, or one beyond any use.

    Raises:
        UsageError: it is so.
    """
    if not value > 0:  # also if it is no number
        raise UsageError(f"the {name} must be above 0, not {value:g}")
    if not RANGE[0] <= value <= RANGE[1]:
        raise UsageError(
            f"the {name} must be {RANGE[0]:g} to {RANGE[1]:g}, not {value:g}", "check the units"
        )


def lens_scale(distance: float, focal: float, pixel: float) -> float:
    """Return the millimetres of a pixel of a thin lens in focus.

    Args:
        distance: from the lens to the object, metres.
        focal: length, millimetres.
        pixel: distance of the sensor's pixels, micrometres.

    Raises:
        UsageError: a value is not above 0, or the object is not beyond the focal length.
    """
    for name, value in (("distance", distance), ("focal length", focal), ("pixel size", pixel)):
        check_positive(name, value)
    if 1000 * distance <= focal:
        raise UsageError(
            f"a distance of {distance:g} m is within the focal length of {focal:g} mm",
            "--distance is in metres, --focal in millimetres",
        )
    return pixel / 1000 * (1000 * distance - focal) / focal


def exposure_factor(frequency: float, exposure: float) -> float:
    """Return the share of a vibration's amplitude that averaging over an exposure leaves.

    Args:
        frequency: Hz.
        exposure: seconds.
    """
    angle = math.pi * frequency * exposure
    factor = abs(math.sin(angle) / angle)
    return factor if factor > 1e-12 else 0.0  # what rounding leaves after whole periods


def longest_exposure(frequency: float) -> float:
    """Return the exposure in seconds that leaves 97 % of a vibration's amplitude."""
    low, high = 1e-9, 1.0
    for _ in range(60):  # the factor falls from 1 to 0 over a period
        middle = (low + high) / 2
        low, high = (middle, high) if exposure_factor(1.0, middle) > KEPT else (low, middle)
    return low / frequency


def seen_at(frequency: float, rate: float) -> float:
    """Return the frequency in Hz at which a vibration appears: its alias, 0 to half the rate."""
    return abs(frequency - round(frequency / rate) * rate)


def outlook(
    recording: Recording,
    frequency: float,
    textures: Mapping[str, float],
    expected: Expected | None = None,
) -> Outlook:
    """Return what a recording shows of a vibration.

    Args:
        recording: to be made.
        frequency: of the vibration, Hz.
        textures: root mean square gradient of each, grey levels of 255 per pixel, by name.
        expected: the vibration's amplitude, if known.

    Raises:
        UsageError: a frequency or a gradient is not a number above 0.
    """
    check_positive("frequency", frequency)
    for gradient in textures.values():
        check_positive("contrast", gradient)
    amplitude = None if expected is None else expected.pixels(frequency, recording.scale)
    aliased = recording.rate <= 2 * frequency
    return Outlook(
        frequency,
        recording.rate / frequency,
        PERIOD * frequency,
        seen_at(frequency, recording.rate) if aliased else None,
        exposure_factor(frequency, recording.exposure),
        1000 * longest_exposure(frequency),
        amplitude,
        None if amplitude is None else _blur(amplitude, frequency * recording.exposure),
        tuple(
            _detection(recording, frequency, name, gradient, amplitude)
            for name, gradient in textures.items()
        ),
    )


def _blur(amplitude: float, periods: float) -> float:
    """Return how far a sine moves at most in a number of periods."""
    return 2 * amplitude * (math.sin(math.pi * periods) if periods < 0.5 else 1.0)


def _detection(
    recording: Recording, frequency: float, name: str, gradient: float, amplitude: float | None
) -> Detection:
    factor, scale = exposure_factor(frequency, recording.exposure), recording.scale
    limit = recording.limit(gradient) / factor if factor else math.inf
    velocity = converted(limit, frequency, "mm/s", scale, "rms")
    margin = None if amplitude is None else amplitude / limit
    hidden = _hidden(recording, frequency)
    seen = None if margin is None else margin >= SURE and not hidden
    return Detection(
        name,
        limit,
        converted(limit, frequency, "um", scale),
        velocity,
        converted(limit, frequency, "g", scale, "rms"),
        margin,
        seen,
        hidden or _compared(margin, velocity) + _alias(recording, frequency),
    )


def _hidden(recording: Recording, frequency: float) -> str:
    """Return why a frequency is not seen whatever its amplitude; empty if it is."""
    seen, width = seen_at(frequency, recording.rate), recording.rate / recording.frames
    film = f"film at {PERIOD * frequency:.4g} frames per second"
    if not exposure_factor(frequency, recording.exposure):
        return "not seen: each exposure lasts whole periods; expose for a shorter time"
    if seen > recording.rate / 2 - width:
        return f"not seen: at half the frame rate; {film}"
    if seen >= MIN_CYCLES * width * (1 - 1e-9):
        return ""
    if recording.rate <= 2 * frequency:
        return f"not seen: near a multiple of the frame rate it looks still; {film}"
    return f"not seen: fewer than 3 periods; record {MIN_CYCLES / frequency:.3g} s or more"


def _compared(margin: float | None, velocity: float) -> str:
    if margin is None:
        return f"seen from about {SURE * velocity:.2g} mm/s rms"
    times = f"{margin:.0f}" if margin > 10 else f"{margin:.2g}"
    if margin >= SURE:
        return f"will be seen: {times} times the limit"
    if margin >= 1:
        return f"may be seen: {times} times the limit, {SURE:g} are safe; {_help(SURE / margin)}"
    return f"below the limit: {times} of it; {_help(SURE / margin)}"


def _alias(recording: Recording, frequency: float) -> str:
    if recording.rate > 2 * frequency:
        return ""
    seen = seen_at(frequency, recording.rate)
    return (
        f"; it appears at {seen:.4g} Hz, an alias: film at {PERIOD * frequency:.4g} frames per "
        "second"
    )


def _help(times: float) -> str:
    """Return what lowers the limit by a factor."""
    if times > HOPELESS:
        return "far out of reach of this set-up"
    square = f"{times**2:.0f}" if times > 3.3 else f"{times**2:.2g}"
    factor = f"{times:.0f}" if times > 10 else f"{times:.2g}"
    return (
        f"about {factor} times as many pixels per mm (closer, or a longer lens), {factor} times "
        f"the side of the region, or {square} times the length or the light would do"
    )


def advice(recording: Recording, outlooks: Sequence[Outlook]) -> list[str]:
    """Return sentences on rate, exposure and compression.

    Args:
        recording: to be made.
        outlooks: of its frequencies.
    """
    notes = []
    slow = [each for each in outlooks if recording.rate < each.least_rate]
    if slow:
        listed = ", ".join(f"{each.frequency:.4g}" for each in slow)
        notes.append(
            f"fewer than {PERIOD} frames in a period at {listed} Hz: film at "
            f"{max(each.least_rate for each in slow):.4g} frames per second or more. Bands of "
            "magkit magnify must be below half the rate"
        )
    if any(each.exposure_factor < KEPT for each in outlooks):
        longest = min(each.longest_exposure_ms for each in outlooks)
        notes.append(
            f"the exposure of {1000 * recording.exposure:.3g} ms blurs more than 3 % of a "
            f"vibration away: expose for {longest:.2g} ms at most"
        )
    blur = max((each.blur_px for each in outlooks if each.blur_px is not None), default=0.0)
    if blur > BLURRED:
        notes.append(
            f"the vibration smears texture over {blur:.2g} px during an exposure: shorten it"
        )
    smallest = [each.expected_px for each in outlooks if each.expected_px is not None]
    if min(smallest, default=0.0) < CODED:
        notes.append(f"{X264}: record uncompressed, or at a high rate. Limits are without it")
    notes.append("limits are those of a pixel's noise: shake, air and lamps add to it")
    return notes
