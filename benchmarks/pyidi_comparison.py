"""Compare displacements and speed of `magkit measure` with pyidi's Lucas-Kanade, same frames.

    pip install pyidi
    python benchmarks/pyidi_comparison.py
    python benchmarks/pyidi_comparison.py --clip CLIP

Without a clip: a texture that is displaced exactly, in 8 bit with noise of standard deviation .01.
Each measures the same squares of 33 pixels against the same first frame. Reported are the ratio of
the amplitudes, by least squares on the known or on magkit's waveform, and the seconds of each.
Exit code 1 if they differ by more than 2 %, or magkit is slower.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from magkit.measure.displacement import track
from magkit.measure.regions import Region, region_at, textured

Array = NDArray[np.floating[Any]]

SIDE, FRAMES, HEIGHT, WIDTH, NOISE = 33, 200, 160, 240, 0.01
AMPLITUDE, PERIOD = 0.2, 12.7  # pixels, frames
DIFFERENCE = 0.02


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path)
    options = parser.parse_args()
    frames, truth = rendered() if options.clip is None else (read(options.clip), None)
    places = (centred(each) for each in textured(frames[0]))
    regions = [each for each in places if fits(each, *frames[0].shape)]
    begin = time.perf_counter()
    ours = np.array([each.displacement for each in track(list(frames), regions, 1)])
    between = time.perf_counter()
    theirs = by_pyidi(frames, regions)
    end = time.perf_counter()
    known = ours[..., 0] if truth is None else np.tile(truth, (len(regions), 1))
    ratio = gain(theirs[..., 0], known) / gain(ours[..., 0], known)
    result = {
        "regions": len(regions),
        "frames": len(frames),
        "magkit_gain": None if truth is None else round(gain(ours[..., 0], known), 4),
        "pyidi_gain": None if truth is None else round(gain(theirs[..., 0], known), 4),
        "pyidi_over_magkit": round(ratio, 4),
        "seconds": {"magkit": round(between - begin, 2), "pyidi": round(end - between, 2)},
    }
    print(json.dumps(result, indent=1))
    slower = between - begin > end - between
    raise SystemExit(bool(abs(ratio - 1) > DIFFERENCE or slower))


def rendered() -> tuple[Array, Array]:
    """Return frames (T, H, W), rounded to 8 bit, and their displacement to the right."""
    rng = np.random.default_rng(0)
    texture = scipy.ndimage.gaussian_filter(rng.standard_normal((HEIGHT, WIDTH)), 1.5, mode="wrap")
    spectrum = np.fft.fft2(0.5 + 0.12 * texture / texture.std())
    x = AMPLITUDE * np.sin(2 * np.pi * np.arange(FRAMES) / PERIOD)
    shifts = np.exp(-2j * np.pi * np.fft.fftfreq(WIDTH) * x[:, None, None])
    frames = np.fft.ifft2(spectrum * shifts).real
    noisy = frames + NOISE * rng.standard_normal(frames.shape)
    return np.round(noisy.clip(0, 1) * 255) / 255, x


def read(path: Path) -> Array:
    """Return the brightness of a clip's frames."""
    from magkit.measure.read import brightness
    from magkit.video import open_video

    return np.array([brightness(frame) for frame in open_video(path)])


def centred(region: Region) -> Region:
    """Return the square of an odd side around the centre of a region."""
    x, y = region.centre
    return region_at(int(x), int(y), SIDE)


def fits(region: Region, height: int, width: int) -> bool:
    """Return whether a region, and what it may move by, is inside a frame."""
    x, y = region.centre
    near = SIDE // 2 + 4
    return near <= x < width - near and near <= y < height - near


def by_pyidi(frames: Array, regions: list[Region]) -> Array:
    """Return displacements (R, T, 2), x and y."""
    import pyidi

    video = pyidi.VideoReader(np.round(frames * 255).astype(np.uint8), root=".")
    method = pyidi.LucasKanade(video)
    method.set_points([[each.centre[1], each.centre[0]] for each in regions])
    method.configure(roi_size=(SIDE, SIDE), verbose=0, show_pbar=False)
    found: Array = np.asarray(method.get_displacements(autosave=False))
    return found[..., ::-1]


def gain(found: Array, known: Array) -> float:
    """Return the least-squares amplitude of displacements (R, T) over that known."""
    found, known = (each - each.mean(1, keepdims=True) for each in (found, known))
    return float((found * known).sum() / (known**2).sum())


if __name__ == "__main__":
    main()
