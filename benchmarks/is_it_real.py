"""How often `magkit measure` calls noise a vibration, and finds vibrations above its limit.

    python benchmarks/is_it_real.py
    python benchmarks/is_it_real.py --images DIR

Still clips: a picture with noise, coded by x264 or not, under steady or flickering light. Moving
clips: in the same pictures one region vibrates by five times the limit that its still clip states.
Without --images pictures are procedural. Exit code 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from magkit.measure.clip import Finding, Measurement, RegionResult, measure_frames
from magkit.measure.read import brightness
from magkit.measure.regions import Region
from magkit.synth.procedural import ProceduralPictures
from magkit.video.coding import code_x264
from magkit.video.pictures import read_picture

Array = NDArray[np.floating[Any]]

SIDE, FRAMES, RATE = 240, 120, 30.0
NOISES, CRFS, KEYS, FLICKERS = (0.002, 0.006, 0.015), (None, 18, 23, 28), (12, 30, 250), (0, 0.03)
TIMES_LIMIT = 5.0
PATCH = 48  # pixels: of what vibrates
FALSE, FOUND, HELD = 0.01, 0.95, (0.90, 0.98)  # bars


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path)
    parser.add_argument("--clips", type=int, default=200)
    options = parser.parse_args()
    pictures = sources(options.images)
    rng = np.random.default_rng(0)
    regions = alarms = moving = found = held = 0
    false: list[dict[str, Any]] = []
    for number in range(options.clips):
        picture = next(pictures)
        setting = drawn(rng)
        still = measure_frames(still_clip(picture, setting, rng), RATE)
        wrong = [each for each in still.regions if each.vibrates]
        regions, alarms = regions + len(still.regions), alarms + len(wrong)
        false += [told(each, setting) for each in wrong]
        if setting["crf"] is None:
            tone = vibrating(picture, setting, rng, still, number)
            moving += 1
            found += tone is not None
            held += tone is not None and tone
    result = {
        "still_clips": options.clips,
        "regions": regions,
        "false": round(alarms / regions, 4),
        "moving_clips": moving,
        "found": round(found / moving, 3),
        "intervals_that_hold": round(held / max(found, 1), 3),
        "bars": {"false": FALSE, "found": FOUND, "held": HELD},
        "false_alarms": false,
    }
    print(json.dumps(result, indent=1))
    good = alarms / regions <= FALSE and found / moving >= FOUND
    raise SystemExit(not (good and HELD[0] <= held / found <= HELD[1]))


def sources(folder: Path | None) -> Iterator[Array]:
    """Yield pictures (SIDE, SIDE, 3) in [0, 1], again and again."""
    if folder is None:
        made = ProceduralPictures()
        for number in range(10_000):
            yield made.picture(number).permute(1, 2, 0).numpy()[:SIDE, :SIDE].astype(float) / 255
    paths = sorted(folder.glob("*.jpg")) if folder else []
    for path in paths * 100:
        picture = np.asarray(read_picture(path), float)[..., :3] / 255
        if min(picture.shape[:2]) >= SIDE:
            yield picture[:SIDE, :SIDE]


def drawn(rng: np.random.Generator) -> dict[str, Any]:
    """Draw noise, coding and flicker."""
    crf = CRFS[rng.integers(len(CRFS))]
    return {
        "noise": float(rng.choice(NOISES)),
        "crf": crf,
        "keyint": int(rng.choice(KEYS)),
        "flicker": float(rng.choice(FLICKERS)),
        "flicker_hz": float(rng.uniform(1, 14)),
    }


def still_clip(
    picture: Array, setting: dict[str, Any], rng: np.random.Generator, patch: Any = None
) -> Iterator[Array]:
    """Yield the brightness of a clip; `patch` gives its pixels in each frame, if it moves."""
    time = np.arange(FRAMES) / RATE
    light = 1 + setting["flicker"] * np.sin(2 * np.pi * setting["flicker_hz"] * time)
    frames = np.empty((FRAMES, *picture.shape), np.uint8)
    for number, gain in enumerate(light):
        frame = picture.copy() if patch is None else patch(number)
        noisy = frame * gain + setting["noise"] * rng.standard_normal(frame.shape)
        frames[number] = np.round(noisy.clip(0, 1) * 255)
    if setting["crf"] is not None:
        frames = code_x264(frames, setting["crf"], preset="veryfast", keyint=setting["keyint"])
    return (brightness(frame) for frame in frames)


def vibrating(
    picture: Array,
    setting: dict[str, Any],
    rng: np.random.Generator,
    still: Measurement,
    number: int,
) -> bool | None:
    """Measure a vibration of five times the limit: whether its interval holds; None: not found."""
    region = still.regions[number % len(still.regions)]
    frequency = float(rng.uniform(2, 13))
    spectrum = region.spectra[0]
    amplitude = TIMES_LIMIT * float(np.interp(frequency, spectrum.frequencies, spectrum.limit))
    top = int(np.clip(region.track.region.top - 8, 0, SIDE - PATCH))
    left = int(np.clip(region.track.region.left - 8, 0, SIDE - PATCH))

    def moved(frame: int) -> Array:
        x = amplitude * np.sin(2 * np.pi * frequency * frame / RATE)
        whole = picture.copy()
        wide = scipy.ndimage.shift(picture, (0, x, 0), order=5, mode="mirror")
        whole[top : top + PATCH, left : left + PATCH] = wide[top : top + PATCH, left : left + PATCH]
        return whole

    found = measure_frames(still_clip(picture, setting, rng, moved), RATE, [region.track.region])
    tones = [
        each.tone
        for each in found.regions[0].findings
        if each.direction == "x"
        and each.cause == "motion"
        and abs(each.tone.frequency - frequency) < RATE / FRAMES
    ]
    return abs(tones[0].amplitude - amplitude) < tones[0].amplitude_error if tones else None


def told(result: RegionResult, setting: dict[str, Any]) -> dict[str, Any]:
    """Return what a false alarm is."""
    worst: Finding = next(each for each in result.findings if each.cause == "motion")
    region: Region = result.track.region
    tone = worst.tone
    return {
        **setting,
        "region": region.name,
        "frequency": round(tone.frequency, 3),
        "amplitude": round(tone.amplitude, 4),
        "over_limit": round(tone.amplitude / tone.limit, 2),
    }


if __name__ == "__main__":
    main()
