"""Check the evaluation of magnifiers on scenes of an independent renderer.

    python benchmarks/independent_scenes.py [--magnifier NAME] [--weights FILE] [--images DIR]

`magkit evaluate magnifier` renders its scenes with the same splines as training scenes. Here a
scene is a function of continuous coordinates: two textured objects with sharp outlines over a
textured background, waves of random lengths and directions, or pictures (--images) with two texels
per pixel. It is sampled 16 times along either side of a pixel and reduced to pixels by a box or a
Gaussian; a displaced object is the same function at displaced coordinates. Nothing is shared with
the standard renderer except SSIM. Both results are printed, for the same displacements and factors.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray
from PIL import Image

from magkit.evaluate.cases import cases
from magkit.evaluate.magnifier import Predict, evaluate, predictor
from magkit.evaluate.protocols import summarize
from magkit.magnify.load import load_magnifier
from magkit.synth.build import build_sources
from magkit.video.ssim import ssim_map

Array = NDArray[np.floating[Any]]
Texture = Callable[[Array, Array], Array]  # x, y (columns, rows) in pixels -> (3, rows, columns)

SIZE = 256  # pixels
SAMPLES = 16  # along either side of a pixel
SIGMA = 0.5  # pixels: of the Gaussian
PAIRS = ((0.05, 10.0), (0.05, 50.0), (0.2, 20.0), (0.5, 10.0), (1.0, 5.0), (1.0, 10.0))
RATIOS = np.arange(0, 1.61, 0.1)
TEXELS = 2.0  # of a picture, to a pixel


@dataclass(frozen=True)
class Thing:
    """An object: texture, outline (radius over angle), position and displacement."""

    texture: Texture
    centre: tuple[float, float]
    radius: float
    waves: Array
    direction: tuple[float, float]


def wavy(rng: np.random.Generator) -> Texture:
    """Waves of 3 to 60 pixels, longer ones with larger amplitudes, around a random colour."""
    length = np.exp(rng.uniform(np.log(3), np.log(60), 24))
    angle, phase = rng.uniform(0, 2 * np.pi, (2, 24))
    strength = 0.16 * np.sqrt(length / 60) * rng.normal(1, 0.3, (3, 24))
    base = rng.uniform(0.3, 0.7, 3)
    fx, fy = (2 * np.pi * f(angle) / length for f in (np.cos, np.sin))

    def at(x: Array, y: Array) -> Array:
        # cos(a + b) from cosines and sines of either side: products in place of a plane of angles.
        across, down = np.outer(fx, x), np.outer(fy, y) + phase[:, None]
        total = np.einsum("cn,nh,nw->chw", strength, np.cos(down), np.cos(across), optimize=True)
        total -= np.einsum("cn,nh,nw->chw", strength, np.sin(down), np.sin(across), optimize=True)
        drawn: Array = np.clip(base[:, None, None] + total, 0, 1)
        return drawn

    return at


def pictured(path: Path, rng: np.random.Generator) -> Texture:
    """A picture with linear interpolation between texels and mirrored borders."""
    texels = np.asarray(Image.open(path).convert("RGB"), np.float64) / 255
    corner = rng.uniform(0, 0.3, 2) * texels.shape[:2]

    def at(x: Array, y: Array) -> Array:
        places = np.meshgrid(corner[0] + TEXELS * y, corner[1] + TEXELS * x, indexing="ij")
        to_uint8 = [
            scipy.ndimage.map_coordinates(c, places, order=1, mode="mirror")
            for c in np.moveaxis(texels, 2, 0)
        ]
        return np.stack(to_uint8)

    return at


def prefilter(first: int, last: int, gaussian: bool) -> tuple[Array, Array]:
    """Coordinates of the samples of pixels first to last, and their weights (pixels, samples)."""
    reach = 1.5 if gaussian else 0.0
    at = np.arange(first - reach, last + reach, 1 / SAMPLES) + 0.5 / SAMPLES
    away = at[None] - (np.arange(first, last) + 0.5)[:, None]
    weights = np.exp(-(away**2) / (2 * SIGMA**2)) if gaussian else (np.abs(away) < 0.5) * 1.0
    return at, weights / weights.sum(1, keepdims=True)


class Picture:
    """A scene with objects at any positions; the background is rendered once."""

    def __init__(self, background: Texture, things: list[Thing], gaussian: bool) -> None:
        self.things, self.gaussian = things, gaussian
        at, weights = prefilter(0, SIZE, gaussian)
        self.samples = np.empty((3, len(at), len(at)), np.float32)
        for start in range(0, len(at), 256):
            self.samples[:, start : start + 256] = background(at, at[start : start + 256])
        light = weights.astype(np.float32)
        self.empty = (light @ self.samples @ light.T).astype(float)

    def frame(self, length: float) -> tuple[Array, Array]:
        """The frame with displaced objects (in pixels), and their mask (SIZE, SIZE)."""
        frame, mask = self.empty.copy(), np.zeros((SIZE, SIZE))
        for thing in self.things:
            cx, cy = (c + length * d for c, d in zip(thing.centre, thing.direction, strict=True))
            left, top = (int(max(c - thing.radius - 4, 0)) for c in (cx, cy))
            right, bottom = (int(min(c + thing.radius + 5, SIZE)) for c in (cx, cy))
            (x, across), (y, down) = (
                prefilter(*side, self.gaussian) for side in ((left, right), (top, bottom))
            )
            inside = self._inside(thing, x - cx, y - cy)
            # The background is still: laying an object over it adds what covers it, less it.
            column, row = left * SAMPLES, top * SAMPLES
            below = self.samples[:, row : row + len(y), column : column + len(x)]
            added = (thing.texture(x - cx, y - cy) - below) * inside
            frame[:, top:bottom, left:right] += down @ added @ across.T
            mask[top:bottom, left:right] += down @ inside @ across.T
        return frame, mask

    @staticmethod
    def _inside(thing: Thing, x: Array, y: Array) -> Array:
        angle = np.arctan2(y[:, None], x[None])
        outline = 0.8 + sum(a * np.cos(n * angle + p) for n, a, p in thing.waves)
        inside: Array = np.hypot(x[None], y[:, None]) < thing.radius * outline
        return inside.astype(float)


def draw(rng: np.random.Generator, textures: list[Path], gaussian: bool) -> Picture:
    """Two objects over a background, one in each half so that they never overlap."""

    def texture() -> Texture:
        return pictured(textures[rng.integers(len(textures))], rng) if textures else wavy(rng)

    things = []
    for half in (0.0, 0.5):
        angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(20, 36)
        waves = np.stack([np.arange(2, 5), rng.normal(0, 0.05, 3), rng.uniform(0, 6, 3)], 1)
        things.append(
            Thing(
                texture(),
                (SIZE * (half + 0.25), SIZE * rng.uniform(0.3, 0.7)),
                radius,
                waves,
                (float(np.cos(angle)), float(np.sin(angle))),
            )
        )
    return Picture(texture(), things, gaussian)


def score(
    predict: Predict, picture: Picture, pair: tuple[float, float], rng: np.random.Generator
) -> dict[str, float]:
    """Gain and SSIM in one scene, dithered and rounded to 8 bit."""
    length, factor = pair
    poses = [picture.frame(moved) for moved in (0.0, length, length * factor)]
    a, b, m = (tensor(frame, rng) for frame, _ in poses)
    moving = torch.from_numpy(np.max([mask for _, mask in poses], 0) > 0.5)[None, None].float()
    output = (predict(a, b, factor) * 255).round() / 255

    def error(ratio: float) -> float:
        exact = torch.from_numpy(picture.frame(length * factor * ratio)[0]).float()
        return float(((exact - output) ** 2 * moving).sum())

    errors = [error(ratio) for ratio in RATIOS]
    best = min(max(int(np.argmin(errors)), 1), len(errors) - 2)
    before, at, after = errors[best - 1 : best + 2]
    bend = before - 2 * at + after
    shift = 0.5 * (before - after) / bend if bend > 0 else 0.0
    made, left = ssim_map(output, m), ssim_map(b, m)
    area = moving.sum()
    return {
        "displacement": length,
        "factor": factor,
        "gain": float(RATIOS[best] + min(max(shift, -1), 1) * (RATIOS[1] - RATIOS[0])),
        "ssim": made.mean().item(),
        "region_ssim": ((made * moving).sum() / area).item(),
        "input_ssim": left.mean().item(),
        "input_region_ssim": ((left * moving).sum() / area).item(),
    }


def tensor(frame: Array, rng: np.random.Generator) -> torch.Tensor:
    """A frame as stored: dithered, 8 bit; (1, 3, SIZE, SIZE)."""
    stored = np.floor(frame * 255 + rng.random(frame.shape)).clip(0, 255) / 255
    return torch.from_numpy(stored).float()[None]


def main() -> None:
    """Measure with both renderers and print both results."""
    parser = argparse.ArgumentParser(description="The judge's verdict, on scenes of other make.")
    parser.add_argument("--magnifier", default="magnet-fast")
    parser.add_argument("--weights", help="other weights than those that ship")
    parser.add_argument("--images", type=Path, help="a folder of pictures; waves if not given")
    parser.add_argument("--repeats", type=int, default=2, help="scenes of each kind and prefilter")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print a JSON object instead")
    given = parser.parse_args()
    predict = predictor(load_magnifier(given.magnifier, given.weights))
    textures = sorted(p for p in given.images.rglob("*.jpg")) if given.images else []
    found: dict[str, list[dict[str, float]]] = {}
    for name, gaussian in (("box", False), ("gaussian", True)):
        rng = np.random.default_rng(given.seed)
        found[name] = []
        for _ in range(given.repeats):
            for pair in PAIRS:
                found[name].append(score(predict, draw(rng, textures, gaussian), pair, rng))
    sources = build_sources([given.images] if given.images else (), None, None, 0)
    own = [c for c in cases(sources, 2 * given.repeats, given.seed) if _pair(c) in PAIRS]
    found["judge"] = [s.as_dict() for s in evaluate(predict, own, sources)]
    if given.json:
        print(json.dumps({name: summarize(rows) for name, rows in found.items()}))
        return
    print("scenes of   cases  gain   within 10 %  SSIM   region  (untouched)")
    for name, rows in found.items():
        made = {key: fmean(row[key] for row in rows) for key in rows[0]}
        near = fmean(abs(row["gain"] - 1) <= 0.1 for row in rows)
        print(
            f"{name:10}  {len(rows):5}  {median(r['gain'] for r in rows):.3f}  {near:11.0%}  "
            f"{made['ssim']:.3f}  {made['region_ssim']:.3f}   "
            f"{made['input_ssim']:.3f} {made['input_region_ssim']:.3f}"
        )


def _pair(case: Any) -> tuple[float, float]:
    return case.displacement, case.factor


if __name__ == "__main__":
    main()
