"""Compare displacements and speed of `magkit measure` with pyidi's Lucas-Kanade, same frames.

    pip install pyidi
    python benchmarks/pyidi_comparison.py
    python benchmarks/pyidi_comparison.py --clip CLIP
    python benchmarks/pyidi_comparison.py --recording CLIP

Without a clip: a texture that is displaced exactly, in 8 bit with noise of standard deviation .01.
Each measures the same squares of 33 pixels against the same first frame. Reported are the ratio of
the amplitudes, by least squares on the known or on magkit's waveform, and the seconds of each.
Exit code 1 if they differ by more than 2 %, or magkit is slower.

With a recording: `magkit magnify --factor 1` writes it in each format. Reported is for each whether
pyidi opens it, the greatest difference of a grey level (of 255) from the source, the ratio of the
amplitudes that pyidi and magkit find in that file, and how much of the source's is left in it
(`kept`, by magkit); and whether pyuff and NumPy read what `magkit measure` exports. Exit code 1 if
the amplitudes in 8-bit PNG frames differ by more than 2 %, or an export isn't read.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
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
    parser.add_argument("--recording", type=Path)
    options = parser.parse_args()
    if options.recording is not None:
        raise SystemExit(check_files(options.recording))
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
    from magkit.video import ReadOptions, open_video

    return np.array([brightness(frame) for frame in open_video(path, ReadOptions(deep=True))])


def centred(region: Region, side: int = SIDE) -> Region:
    """Return the square of an odd side around the centre of a region."""
    x, y = region.centre
    return region_at(int(x), int(y), side)


def fits(region: Region, height: int, width: int) -> bool:
    """Return whether a region, and what it may move by, is inside a frame."""
    x, y = region.centre
    near = region.width // 2 + 4
    return near <= x < width - near and near <= y < height - near


def by_pyidi(frames: Array, regions: list[Region]) -> Array:
    """Return displacements (R, T, 2), x and y."""
    import pyidi

    video = pyidi.VideoReader(np.round(frames * 255).astype(np.uint8), root=".")
    return displacements(video, regions)


def displacements(video: Any, regions: list[Region]) -> Array:
    """Return the displacements (R, T, 2), x and y, that pyidi finds in a clip that it opened."""
    import pyidi

    method = pyidi.LucasKanade(video)
    method.set_points([[each.centre[1], each.centre[0]] for each in regions])
    side = regions[0].width
    method.configure(roi_size=(side, side), verbose=0, show_pbar=False)
    found: Array = np.asarray(method.get_displacements(autosave=False))
    return found[..., ::-1]


def gain(found: Array, known: Array) -> float:
    """Return the least-squares amplitude of displacements (R, T) over that known."""
    found, known = (each - each.mean(1, keepdims=True) for each in (found, known))
    return float((found * known).sum() / (known**2).sum())


FORMATS = ("png", ".tif", ".mp4", ".mkv")


def check_files(recording: Path) -> bool:
    """Print what pyidi makes of the files that magkit writes; return whether that is wrong."""
    frames = read(recording)
    side = min(SIDE, frames.shape[1] // 2 | 1)
    places = [centred(each, side) for each in textured(frames[0], side=side)]
    regions = [each for each in places if fits(each, *frames[0].shape)]
    known = np.array([each.displacement for each in track(list(frames), regions, 1)])
    with TemporaryDirectory() as name:
        files = {form: opened(recording, Path(name), form, frames, known, regions)
                 for form in FORMATS}  # fmt: skip
        exports = exported(recording, Path(name))
    print(json.dumps({"regions": len(regions), "files": files, "exports": exports}, indent=1))
    # Of 16-bit frames pyidi has no displacement.
    ratio = files["png"].get("pyidi_over_magkit", 1.0 if files["png"]["opens"] else 0.0)
    return abs(ratio - 1) > DIFFERENCE or not all(exports.values())


def opened(
    recording: Path, folder: Path, form: str, frames: Array, known: Array, regions: list[Region]
) -> dict[str, Any]:
    """Return what pyidi finds in a recording that magkit wrote in some format."""
    import pyidi

    from magkit.cli import run

    target = folder / form if form == "png" else folder / form[1:] / f"clip{form}"
    target.parent.mkdir(exist_ok=True)
    assert run(["magnify", str(recording), "--factor", "1", "-o", str(target), "--quiet"]) == 0
    try:
        video = pyidi.VideoReader(str(target / "000000.png" if form == "png" else target))
        pixels = np.asarray(video.get_frames(), float)
        if pixels.shape != frames.shape:
            return {"opens": False, "frames": len(pixels)}
    except Exception as error:  # whatever pyidi raises is a result
        return {"opens": False, "error": f"{type(error).__name__}: {error}"[:200]}
    if form == "png":
        levels = pixels / (65535 if pixels.max() > 255 else 255)
    else:
        levels = (pixels - 16) / 219  # it reads the luma as stored
    worst = round(float(np.abs(levels - frames).max() * 255), 3)
    axis = int(known.std(1).sum(0).argmax())
    try:
        found = displacements(video, regions)[..., axis]
    except Exception as error:
        return {"opens": True, "greatest_difference": worst, "error": type(error).__name__}
    tracks = track(list(read(target)), regions, 1)
    ours = np.array([each.displacement[:, axis] for each in tracks])
    return {
        "opens": True,
        "greatest_difference": worst,
        "pyidi_over_magkit": round(gain(found, known[..., axis]) / gain(ours, known[..., axis]), 4),
        "kept": round(gain(ours, known[..., axis]), 4),
    }


def exported(recording: Path, folder: Path) -> dict[str, bool]:
    """Return whether exports of `magkit measure` are read back with equal waveforms."""
    import pyuff

    from magkit.cli import run

    uff, npz = folder / "clip.uff", folder / "clip.npz"
    written = ["-o", str(uff), "-o", str(npz)]
    assert run(["measure", str(recording), "--quiet", *written]) == 0
    with np.load(npz) as arrays:
        known = arrays["displacement"]
    sets = pyuff.UFF(str(uff)).read_sets()
    read_back = np.array([each["data"] for each in sets]).reshape(len(known), 2, -1)
    return {"npz": known.ndim == 3, "uff": bool(np.allclose(read_back.transpose(0, 2, 1), known))}


if __name__ == "__main__":
    main()
