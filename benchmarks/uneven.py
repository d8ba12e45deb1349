"""Measure the amplitude of a magnified 2 Hz motion in unevenly spaced clips.

    python benchmarks/uneven.py [-o DIR] [--magnifier NAME]

A bright spot oscillates at 2 Hz. It is sampled at 10 and then at 60 frames per second, and at 30
frames per second of which 5 % are missing at random. Each clip is magnified 5 times between 1.5 and
2.5 Hz, once with its own times and once at --fps 30, and the spot is located by its centre of mass.
Exit code 1 if an amplitude differs by more than 5 % from that at a constant 30 frames per second.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from magkit import load_magnifier, magnify_file, open_video
from magkit.magnify.band import Band
from magkit.protocols import Magnifier
from magkit.video import Frame, WriteOptions, plain_info, write_video

HEIGHT, WIDTH = 64, 96
TONE, SWING = 2.0, 0.66  # Hz, pixels
SECONDS = 8.0
BAND, FACTOR = Band(1.5, 2.5), 5.0
RATE = Fraction(30)
SETTLED = 3.0  # seconds until the filter has risen
TOLERANCE = 0.05
DARK = 60


def spot(time: float) -> Frame:
    """The frame at a time: a spot that oscillates horizontally on a dark background."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    x = x - WIDTH / 2 - SWING * math.sin(2 * math.pi * TONE * time)
    light = np.exp(-((x / 8) ** 2 + ((y - HEIGHT / 2) / 10) ** 2) / 2)
    levels = (DARK + 150 * light).round().astype(np.uint8)
    return np.repeat(levels[..., None], 3, 2)


def place(frame: Frame) -> float:
    """The column of the spot's centre of mass."""
    light = frame[..., 1].astype(float) - DARK
    light[light < 8] = 0
    return float((light * np.arange(WIDTH)).sum() / light.sum())


def film(path: Path, times: Sequence[float]) -> None:
    """Write the clip whose frames come at these times."""
    info = plain_info(WIDTH, HEIGHT, RATE, len(times))
    if np.ptp(np.diff(times)) > 1e-9:
        info = replace(info, times=(*times, SECONDS))
    write_video(path, map(spot, times), info, WriteOptions(quality=0, overwrite=True))


def amplitude(path: Path) -> float:
    """Amplitude of the spot in pixels at its frequency, by least squares at the frames' times."""
    video = open_video(path)
    places = np.array([place(frame) for frame in video])
    times = np.array([video.info.time_of(number) for number in range(len(places))])
    settled = times >= SETTLED
    phase = 2 * np.pi * TONE * times[settled]
    waves = np.stack([np.sin(phase), np.cos(phase), np.ones_like(phase)], 1)
    found = np.linalg.lstsq(waves, places[settled], rcond=None)[0]
    return float(np.hypot(found[0], found[1]))


def clips() -> dict[str, list[float]]:
    """The times of each clip's frames."""
    even = [number / 30 for number in range(round(30 * SECONDS))]
    random = np.random.default_rng(0)
    changing = [number / 10 for number in range(40)] + [4 + number / 60 for number in range(240)]
    missing = [time for time in even if time == 0 or random.random() > 0.05]
    return {"even": even, "10 then 60": changing, "5 % missing": missing}


def measure(
    folder: Path, magnifier: Magnifier, rates: Iterable[Fraction | None]
) -> dict[str, float]:
    """The amplitude of each magnified clip, with its own times (None) or at a rate."""
    found = {}
    for name, times in clips().items():
        source = folder / f"{name}.mp4"
        film(source, times)
        for rate in rates if name != "even" else (None,):
            output = source.with_name(f"{name} magnified.mp4")
            magnify_file(
                source,
                output,
                magnifier,
                FACTOR,
                band=BAND,
                options=WriteOptions(rate=rate, overwrite=True),
            )
            found[name if rate is None else f"{name}, at {rate} fps"] = amplitude(output)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, help="where clips stay")
    parser.add_argument("--magnifier", default="magnet-fast")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.output or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = measure(folder, load_magnifier(options.magnifier), (None, RATE))
    even = found["even"]
    print(json.dumps({name: [value, value / even] for name, value in found.items()}, indent=2))
    return int(any(abs(value / even - 1) > TOLERANCE for value in found.values()))


if __name__ == "__main__":
    sys.exit(main())
