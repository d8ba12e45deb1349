"""Time of `magkit magnify` on a clip that mostly stands still, over that of an older checkout.

    git worktree add ../older 21d125f
    python benchmarks/still_speed.py --against ../older

Two clips are rendered, 640x360 and 150 frames of texture with mild noise: in one a quarter of the
picture vibrates, in the other all of it. Each is magnified by whole processes of this checkout and
of the older one in turn, with two threads. Reported are the medians of the wall time and of the
processor time, which includes ffmpeg's. Exit code 1 if the ratio of wall times is below a bar.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from magkit.synth.layers import displace, sharpen
from magkit.synth.procedural import ProceduralPictures
from magkit.synth.sources import resize
from magkit.video import plain_info, write_video

HERE = Path(__file__).parents[1]
WIDTH, HEIGHT, FRAMES = 640, 360, 150
AMPLITUDE, PERIOD = 0.3, 12  # pixels, frames
NOISE = 1 / 255  # standard deviation
PICTURE = 3  # of the procedural ones
BARS = {"quarter": 1.8, "all": 1 / 1.1}


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, required=True, metavar="CHECKOUT")
    parser.add_argument("--threads", default="2")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    checkouts = {"this": HERE, "older": options.against.resolve()}
    results, slow = {}, False
    with tempfile.TemporaryDirectory() as folder:
        for name, bar in BARS.items():
            clip = Path(folder, f"{name}.mp4")
            write_video(clip, frames(name), plain_info(WIDTH, HEIGHT, Fraction(30), FRAMES))
            results[name] = compared(clip, checkouts, options.threads, options.rounds)
            ratio = results[name]["wall_ratio"]
            slow |= isinstance(ratio, float) and ratio < bar
    print(json.dumps({"threads": options.threads, "bars": BARS, "clips": results}))
    raise SystemExit(slow)


def frames(moving: str) -> Iterator[NDArray[np.uint8]]:
    """Render the clip."""
    picture = ProceduralPictures().picture(PICTURE).float() / 255
    texels = sharpen(resize(picture, WIDTH + 8, WIDTH + 8)).clamp(0, 1)[:, : HEIGHT + 4]
    top, left = HEIGHT // 4, WIDTH // 4
    for index in range(FRAMES):
        x = AMPLITUDE * math.sin(2 * math.pi * index / PERIOD)
        still, moved = (displaced(texels, each) for each in (0.0, x))
        if moving == "quarter":
            inner = moved[:, top:-top, left:-left].clone()
            moved, moved[:, top:-top, left:-left] = still, inner
        generator = torch.Generator().manual_seed(index)
        moved = moved + NOISE * torch.randn(moved.shape, generator=generator)
        yield moved.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()


def displaced(texels: torch.Tensor, x: float) -> torch.Tensor:
    """Return the frame displaced to the right by `x` pixels, at most one."""
    whole = math.floor(x)
    window = texels[None, :, :, 2 - whole : 2 - whole + WIDTH + 4]
    return displace(window, torch.tensor([x - whole]), torch.zeros(1))[0]


def compared(
    clip: Path, checkouts: dict[str, Path], threads: str, rounds: int
) -> dict[str, float | dict[str, float]]:
    """Time the checkouts in turn."""
    wall: dict[str, list[float]] = {name: [] for name in checkouts}
    work: dict[str, list[float]] = {name: [] for name in checkouts}
    for _ in range(rounds):
        for name, checkout in checkouts.items():
            seconds, used = timed(clip, checkout, threads)
            wall[name].append(seconds)
            work[name].append(used)
    result: dict[str, float | dict[str, float]] = {}
    for kind, times in (("wall", wall), ("processor", work)):
        middle = {name: statistics.median(each) for name, each in times.items()}
        result[f"{kind}_seconds"] = {name: round(each, 2) for name, each in middle.items()}
        result[f"{kind}_ratio"] = round(middle["older"] / middle["this"], 3)
    return result


def timed(clip: Path, checkout: Path, threads: str) -> tuple[float, float]:
    """Return the wall and processor seconds of a whole process."""
    output = clip.with_name("out.mp4")
    command = [sys.executable, "-P", "-m", "magkit", "magnify", str(clip), "-o", str(output)]
    command += ["--overwrite", "--threads", threads, "--quiet"]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    start = time.perf_counter()
    child = os.posix_spawn(command[0], command, environment)
    _, status, used = os.wait4(child, 0)
    if status:
        raise SystemExit(f"{checkout} failed")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
