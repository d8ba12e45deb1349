"""Compare the peak memory of magnifying a long clip with that of its first 100 frames.

    python benchmarks/memory.py
    python benchmarks/memory.py --magnifier magnet --weights FILE --size 1280 720

The default clip is 900 frames of 640x360 moving texture, magnified 10 times with a band, which
needs the most memory. The measure is the largest resident set of the process; that of the decoder
and encoder processes is listed separately. Exit code 1 above 10 % of growth or 1.5 GB.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from magkit.magnify.band import Band
from magkit.magnify.load import load_magnifier
from magkit.magnify.pipeline import magnify_file
from magkit.video import plain_info, write_video

GROWTH = 1.1
LARGEST = 1.5e9  # bytes
EARLY = 100


def main() -> None:
    options = _options()
    model = load_magnifier(options.magnifier, options.weights)
    peaks: dict[int, int] = {}

    def report(done: int, _total: int | None) -> None:
        if done in (EARLY, options.frames):
            peaks[done] = _peak(resource.RUSAGE_SELF)

    with tempfile.TemporaryDirectory() as folder:
        source, output = Path(folder, "in.mp4"), Path(folder, "out.mp4")
        width, height = options.size
        info = plain_info(width, height, Fraction(30), options.frames)
        write_video(source, _texture(options.frames, width, height), info)
        magnify_file(source, output, model, 10, band=Band(0.4, 3), progress=report)
    early, late = peaks[EARLY], peaks[options.frames]
    figures = {"early_bytes": early, "late_bytes": late, "growth": round(late / early, 4)}
    figures["ffmpeg_bytes"] = _peak(resource.RUSAGE_CHILDREN)
    json.dump(figures, sys.stdout, indent=2)
    print()
    sys.exit(late > GROWTH * early or late > LARGEST)


def _peak(who: int) -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(who).ru_maxrss * unit


def _texture(count: int, width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    """Noise that oscillates by a pixel with a period of 20 frames."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width + 2, 3), np.uint8)
    for index in range(count):
        left = 1 + round(np.sin(2 * np.pi * index / 20))
        yield noise[:, left : left + width]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--magnifier", default="magnet-fast")
    parser.add_argument("--weights")
    parser.add_argument("--frames", type=int, default=900)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 360))
    options = parser.parse_args()
    if options.frames <= EARLY:
        parser.error(f"--frames must be above {EARLY}")
    return options


if __name__ == "__main__":
    main()
