"""Short clips through x264, with settings and paths of motion at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from magkit.video.coding import code_x264

FRAMES = (5, 10)  # of a clip, fewest and most
CRF = (15, 32)
PRESETS = ("veryfast", "faster", "fast", "medium")
GROUP = 12  # frames: the longest group, but for clips of a single one
FURTHEST = 1.5  # times the motion from A to B that any frame of a clip may be displaced

Rng = np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """A clip's length, and x264's settings."""

    frames: int
    crf: int
    preset: str
    keyint: int
    bframes: int


@dataclass(frozen=True, slots=True)
class Path:
    """The displacement of each frame of a clip over that from A to B, and which frames they are."""

    scales: tuple[float, ...]
    a: int
    b: int


def draw_coding(rng: Rng) -> Coding:
    """Draw the settings of a clip."""
    whole = rng.random() < 0.4
    return Coding(
        frames=int(rng.integers(FRAMES[0], FRAMES[1] + 1)),
        crf=int(rng.integers(CRF[0], CRF[1] + 1)),
        preset=PRESETS[int(rng.integers(len(PRESETS)))],
        keyint=250 if whole else int(rng.integers(1, GROUP + 1)),
        bframes=int(rng.integers(4)),
    )


def draw_path(rng: Rng, count: int) -> Path:
    """Draw a vibration of `count` frames, and two of them as A and B in this order."""
    a, b = sorted(int(n) for n in rng.choice(count, 2, replace=False))
    for _ in range(20):
        wave = np.sin(rng.uniform(0.1, 1.5) * np.arange(count) + rng.uniform(0, 2 * np.pi))
        way = wave[b] - wave[a]
        if np.abs(wave - wave[a]).max() <= FURTHEST * abs(way):
            return Path(tuple(((wave - wave[a]) / way).tolist()), a, b)
    line = (np.arange(count) - a) / (b - a)
    return Path(tuple(line.clip(-FURTHEST, FURTHEST).tolist()), a, b)


def code(clips: torch.Tensor, coding: Coding) -> torch.Tensor:
    """Code clips together, one above the other in one picture.

    Args:
        clips: uint8 (N, T, 3, H, W).
        coding: settings, the same for all.

    Returns:
        uint8 of the same shape.
    """
    count, frames, _, height, width = clips.shape
    stacked = clips.permute(1, 0, 3, 4, 2).reshape(frames, count * height, width, 3)
    coded = code_x264(
        stacked.numpy(),
        coding.crf,
        preset=coding.preset,
        keyint=coding.keyint,
        bframes=coding.bframes,
    )
    parts = torch.from_numpy(coded.copy()).view(frames, count, height, width, 3)
    return parts.permute(1, 0, 4, 2, 3)
