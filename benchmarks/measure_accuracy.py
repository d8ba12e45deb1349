"""Accuracy of `magkit measure` on textures displaced exactly, against the Cramer-Rao limit.

    python benchmarks/measure_accuracy.py

A region of 64 x 64 pixels vibrates by .01 to 1 pixel, in frames with noise of standard deviation
.01 that are rounded to 8 bit, 300 at 30 per second. Textures are displaced by the shift theorem.
Exit code 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from magkit.measure.clip import measure_frames
from magkit.measure.regions import Region

Array = NDArray[np.floating[Any]]

AMPLITUDES = (0.01, 0.03, 0.1, 0.3, 1.0)  # pixels
SIDE, FRAMES, RATE, NOISE = 128, 300, 30.0, 0.01
REGION = Region(32, 32, 64, 64, "region")
BARS = {"amplitude": 0.03, "frequency_bins": 0.1, "floor": 1.2}


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=20, help="of each amplitude")
    options = parser.parse_args()
    rows = [summarized(amplitude, options.clips) for amplitude in AMPLITUDES]
    print(json.dumps({"bars": BARS, "clips": options.clips, "amplitudes": rows}, indent=1))
    missed = any(
        abs(row["mean_ratio"] - 1) > BARS["amplitude"]
        or row["frequency_bins"] > BARS["frequency_bins"]
        or row["floor"] > BARS["floor"]
        for row in rows
    )
    raise SystemExit(missed)


def summarized(amplitude: float, clips: int) -> dict[str, float]:
    """Measure clips of one amplitude: means over them, and the worst."""
    found = np.array([measured(amplitude, seed) for seed in range(clips)])
    ratio, bins, floor, covered = found.T
    return {
        "amplitude": amplitude,
        "mean_ratio": round(float(ratio.mean()), 4),
        "worst_ratio": round(float(ratio[np.abs(ratio - 1).argmax()]), 4),
        "frequency_bins": round(float(np.median(bins)), 4),
        "floor": round(float(floor.mean()), 3),
        "intervals_that_hold": round(float(covered.mean()), 3),
    }


def measured(amplitude: float, seed: int) -> tuple[float, float, float, float]:
    """Return the measured over the true amplitude, the error of the frequency in bins, the floor
    over the Cramer-Rao limit, and whether the interval holds the truth."""
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(1, 12)
    texture = scipy.ndimage.gaussian_filter(rng.standard_normal((SIDE, SIDE)), 1.5, mode="wrap")
    spectrum = np.fft.fft2(0.5 + 0.15 * texture / texture.std())
    axis = np.fft.fftfreq(SIDE)
    x = amplitude * np.sin(2 * np.pi * frequency * np.arange(FRAMES) / RATE)
    frames = (
        rounded(np.fft.ifft2(spectrum * np.exp(-2j * np.pi * axis * each)).real, rng) for each in x
    )
    [result] = measure_frames(frames, RATE, [REGION]).regions
    tones = [f.tone for f in result.findings if f.direction == "x"]
    tone = min(tones, key=lambda each: abs(each.frequency - frequency))
    noise = result.track.displacement[:, 1].std()  # nothing moves down
    return (
        tone.amplitude / amplitude,
        abs(tone.frequency - frequency) * FRAMES / RATE,
        noise / limit(spectrum, axis),
        abs(tone.amplitude - amplitude) < tone.amplitude_error,
    )


def rounded(frame: Array, rng: np.random.Generator) -> Array:
    """Add noise, and round to 8 bit."""
    noisy: Array = (frame + NOISE * rng.standard_normal(frame.shape)).clip(0, 1)
    return np.round(noisy * 255) / 255


def limit(spectrum: NDArray[np.complexfloating[Any, Any]], axis: Array) -> float:
    """Return the Cramer-Rao limit of a displacement down: noise over the root of the energy."""
    slope = np.fft.ifft2(2j * np.pi * axis[:, None] * spectrum).real[32:96, 32:96]
    return float(NOISE / np.sqrt((slope**2).sum()))


if __name__ == "__main__":
    main()
