"""Magnify a filmed tuning fork and measure the motion of its prongs by tracking.

    python benchmarks/fork.py CLIP
    python benchmarks/fork.py CLIP --slice docs/images/fork-slice.png

The clip shows an upright fork, filmed at 250 frames per second, that rings at 31.8 Hz; each prong
moves by a pixel or two. Magnified 5 times it should keep the frequency and have 5 times the
amplitude.

Successive frames differ most where the amplitude is largest, so the prongs' tips are the rows with
at least half as much squared difference as the strongest row (averaged over 9 rows). In these rows
the energy lies in two groups of columns, which 2-means separates. The patch around each is tracked
as in `magkit evaluate clip` (magkit/evaluate/vibration.py), independently of any magnifier.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from PIL import Image

from magkit.evaluate.vibration import LUMA, Patch, Vibration, compare, track
from magkit.magnify.band import Band
from magkit.magnify.load import load_magnifier
from magkit.magnify.pipeline import magnify_file
from magkit.video import open_video
from magkit.video.stitch import side_by_side, time_slice

Array = NDArray[np.floating[Any]]
Frame = NDArray[np.uint8]

CAPTURE_RATE = 250.0
BAND = Band(28, 36)
FACTOR = 5.0
TRUE_TONE, TONE_WITHIN = 31.8, 0.5  # Hz
GROWTH = (4.0, 6.0)
MARGIN = 4  # pixels: background kept around a prong
SHOWN, STRETCH, AROUND = 100, 4, 12  # of a slice: frames, pixels a frame, pixels beside the prongs


def passes(prong: Vibration) -> bool:
    """Whether the frequency is kept and the amplitude grows as requested."""
    in_tune = abs(prong.frequency_after - TRUE_TONE) <= TONE_WITHIN
    return in_tune and GROWTH[0] <= prong.growth <= GROWTH[1]


def find_prongs(frames: Iterable[Frame]) -> tuple[Patch, Patch]:
    """The tips of the left and the right prong, by the energy of differences between frames."""
    stream = iter(frames)
    last = next(stream) @ LUMA
    energy = np.zeros_like(last)
    for frame in stream:
        luma = frame @ LUMA
        energy += (luma - last) ** 2
        last = luma
    energy = (energy - np.median(energy)).clip(0)
    rows = scipy.ndimage.uniform_filter1d(energy.sum(1), 9)
    weak = np.flatnonzero(rows < rows.max() / 2)
    peak = int(rows.argmax())
    top = int(max((row + 1 for row in weak if row < peak), default=0))
    bottom = int(min((row for row in weak if row > peak), default=len(rows)))
    columns = energy[top:bottom].sum(0)
    middle = _between(columns)
    left, right = _spread(columns[:middle]), _spread(columns[middle:])
    return Patch(top, bottom, *left), Patch(top, bottom, middle + right[0], middle + right[1])


def _between(energy: Array) -> int:
    """The column halfway between the two groups' centres (2-means)."""
    places = np.arange(len(energy))
    middle = round(float(np.average(places, weights=energy)))
    for _ in range(20):
        sides = slice(middle), slice(middle, None)
        middle = round(sum(np.average(places[s], weights=energy[s]) for s in sides) / 2)
    return middle


def _spread(energy: Array) -> tuple[int, int]:
    """The columns that hold all but 2 % of the energy at either end, and a margin."""
    share = energy.cumsum() / energy.sum()
    first, last = np.searchsorted(share, (0.02, 0.98))
    return max(int(first) - MARGIN, 0), int(last) + 1 + MARGIN


def measure(clip: Path, magnified: Path) -> list[Vibration]:
    """The left and the right prong, in a clip and in its result."""
    source = open_video(clip)
    patches = find_prongs(source)
    first = next(iter(source))
    before = track(first, source, patches)
    after = track(first, open_video(magnified), patches)
    pairs = zip(before, after, strict=True)
    return [compare(old, new, CAPTURE_RATE) for old, new in pairs]


def draw(clip: Path, magnified: Path) -> Frame:
    """Both prongs' tips over time, before and after: (H, W, 3), time to the right."""
    left, right = find_prongs(open_video(clip))
    columns = slice(max(left.left - AROUND, 0), right.right + AROUND)
    clips = [islice(open_video(path), SHOWN) for path in (clip, magnified)]
    lines = [time_slice(frames, (left.top + left.bottom) // 2, "row") for frames in clips]
    return side_by_side([line[:, columns].swapaxes(0, 1).repeat(STRETCH, 1) for line in lines])


def main() -> int:
    """Magnify, measure, print; exit code 0 if both prongs pass."""
    parser = argparse.ArgumentParser(description="Is a tuning fork magnified in tune, and enough?")
    parser.add_argument("clip", type=Path)
    parser.add_argument("--weights", help="other weights than those that ship")
    parser.add_argument("--keep", type=Path, help="write the magnified clip here")
    parser.add_argument("--magnified", type=Path, help="measure this clip, magnified before")
    parser.add_argument("--slice", type=Path, metavar="PNG", help="draw a line of pixels over time")
    parser.add_argument("--json", action="store_true", help="print a JSON object instead")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = given.magnified or given.keep or Path(folder) / "fork.mp4"
        if not given.magnified:
            magnifier = load_magnifier(weights=given.weights)
            magnify_file(
                given.clip, result, magnifier, FACTOR, band=BAND, capture_rate=CAPTURE_RATE
            )
        prongs = measure(given.clip, result)
        if given.slice:
            Image.fromarray(draw(given.clip, result)).save(given.slice)
    report(prongs, as_json=given.json)
    return 0 if all(map(passes, prongs)) else 1


def report(prongs: list[Vibration], *, as_json: bool) -> None:
    """Print the measurements."""
    names = ("left", "right")
    if as_json:
        rows = {n: p.as_dict() for n, p in zip(names, prongs, strict=True)}
        print(json.dumps({"prongs": rows, "passes": all(map(passes, prongs))}))
        return
    print("prong   frequency, Hz    amplitude, px    growth  correlation, lowest")
    print("        before   after   before   after           before   after")
    for name, p in zip(names, prongs, strict=True):
        print(
            f"{name:6}  {p.frequency_before:6.2f}  {p.frequency_after:6.2f}"
            f"   {p.amplitude_before:6.3f}  {p.amplitude_after:6.3f}   {p.growth:5.2f}"
            f"   {p.correlation_before:6.3f}  {p.correlation_after:6.3f}"
            f"   {'ok' if passes(p) else 'outside the bar'}"
        )


if __name__ == "__main__":
    sys.exit(main())
