"""Magnify photographs in front of a shaking camera, with and without --stabilize.

    python benchmarks/stabilize.py PHOTO...

In each clip of 18 frames the camera moves by up to 4 pixels and turns by up to .4 degrees, and a
patch in the middle vibrates by .2 pixels. Regions are followed by `magkit.measure`, which shares no
code with the stabilization. Exits with 1 if a gain differs from the factor by more than 10 %, or
more than 5 % of the shake is left.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray
from PIL import Image

from magkit.magnify.load import load_magnifier
from magkit.magnify.pipeline import magnify
from magkit.magnify.stabilize import without_camera
from magkit.measure.displacement import track
from magkit.measure.regions import Region, region_at
from magkit.video import Frame

Values = NDArray[np.float64]

HEIGHT, WIDTH, FRAMES = 192, 256, 18
SHAKE, TURN, SWING, PERIOD = 4.0, 0.4, 0.2, 6  # pixels, degrees, pixels, frames
FACTOR = 8.0
HALF = 30  # pixels: half the side of the patch
MIDDLE = region_at(WIDTH // 2, HEIGHT // 2, 36)
CORNERS = [region_at(x, y, 40) for x in (50, WIDTH - 50) for y in (40, HEIGHT - 40)]


def clip(photo: Values, seed: int) -> list[Frame]:
    """Render the frames of a photograph (H, W, 3) from its quintic spline."""
    moves = np.random.default_rng(seed).standard_normal((3, FRAMES))
    moves = scipy.ndimage.gaussian_filter1d(moves, 1.5, axis=1)
    moves -= moves[:, :1]
    moves /= np.abs(moves).max(1, keepdims=True)
    splines = [scipy.ndimage.spline_filter(photo[..., c], order=5) for c in range(3)]
    return [
        rendered(splines, SHAKE * complex(x, y), math.radians(TURN * turn), number)
        for number, (x, y, turn) in enumerate(moves.T)
    ]


def rendered(splines: Sequence[Values], shift: complex, turn: float, number: int) -> Frame:
    """Return what the camera sees in a frame, (192, 256, 3)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    scene = (x - WIDTH / 2 + 1j * (y - HEIGHT / 2) - shift) * np.exp(-1j * turn)
    share = (HALF - np.maximum(np.abs(scene.real), np.abs(scene.imag))) / 4 + 0.5
    swing = SWING * math.sin(2 * math.pi * number / PERIOD) * share.clip(0, 1)
    middle = np.array(splines[0].shape) / 2
    places = [scene.imag + middle[0], scene.real - swing + middle[1]]
    seen = [scipy.ndimage.map_coordinates(s, places, order=5, prefilter=False) for s in splines]
    return np.stack(seen, -1).clip(0, 255).round().astype(np.uint8)


def figures(frames: Sequence[Frame]) -> tuple[float, float]:
    """Return the amplitude of the patch, and the root mean square motion of the corners, pixels."""
    regions: list[Region] = [MIDDLE, *CORNERS]
    tracks = track((frame.mean(2) / 255 for frame in frames), regions, 1)
    phase = 2 * np.pi * np.arange(FRAMES) / PERIOD
    # Slow motion of the whole picture is no vibration.
    x = tracks[0].displacement[:, 0]
    design = np.stack([np.sin(phase), np.cos(phase), np.ones(FRAMES), np.arange(FRAMES)], 1)
    amplitude = float(np.hypot(*np.linalg.lstsq(design, x, rcond=None)[0][:2]))
    moves = np.array([each.displacement - each.displacement[0] for each in tracks[1:]])
    return amplitude, float(np.sqrt(np.mean(moves**2)))


def main() -> int:
    """Print the figures of each photograph."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="+")
    arguments = parser.parse_args()
    model, failed = load_magnifier("magnet-fast", None, (), torch.device("cpu")), 0
    print("photo             gain  shake left  shake x  (shake without --stabilize x)")
    for seed, path in enumerate(arguments.photos):
        frames = clip(np.asarray(Image.open(path).convert("RGB"), float), seed)
        shake = figures(frames)[1]
        steady = figures(list(without_camera(frames)))[1] / shake
        amplitude, rest = figures(list(magnify(frames, model, FACTOR, stabilize="out")))
        plain = figures(list(magnify(frames, model, FACTOR)))[1] / shake
        gain = amplitude / SWING
        failed += abs(gain / FACTOR - 1) > 0.1 or rest / shake > 0.05
        print(
            f"{path.name:16}  {gain:4.2f}  {steady:10.4f}  {rest / shake:7.4f}  ({plain:.2f})",
            flush=True,
        )
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
