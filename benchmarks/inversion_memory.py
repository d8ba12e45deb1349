"""Measure memory and time of inverting torchvision's Mask R-CNN at the size of DAVIS.

    python benchmarks/inversion_memory.py
    python benchmarks/inversion_memory.py --target maskrcnn-v2 --size 0

Runs `magkit invert` on a frame of 854 x 480 with random weights, which need the same memory and
time as published ones, without its report. Prints one JSON object; exits with 1 above 8 GB.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from magkit.cli import run
from magkit.invert.targets.maskrcnn_networks import build
from magkit.runtime.weights import to_storable, write_tensors

BAR = 8e9  # bytes
COCO = 91  # classes, the background among them


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description="Memory and time of a large inversion.")
    parser.add_argument("--target", default="maskrcnn", choices=["maskrcnn", "maskrcnn-v2"])
    parser.add_argument("--size", default="480", help="height of the picture; 0: the mask's")
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--threads", default="2")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seconds, step = invert(given, Path(folder))
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    result = {"target": given.target, "size": given.size, "peak_bytes": peak, "bar": BAR}
    print(json.dumps({**result, "seconds": seconds, "seconds_per_step": step}))
    raise SystemExit(peak > BAR)


def invert(given: argparse.Namespace, folder: Path) -> tuple[float, float]:
    """Invert a frame; return the seconds of the command, and of a step at full size."""
    torch.manual_seed(0)
    state = build(given.target, COCO).state_dict()
    write_tensors(folder / "weights", {k: to_storable(v) for k, v in state.items()}, {})
    mask = np.zeros((480, 854), np.uint8)
    mask[120:400, 250:620] = 255
    masks = folder / "masks"
    masks.mkdir()
    Image.fromarray(mask).save(masks / "00000.png")
    command = ["invert", "--masks", str(masks), "--class", "bear", "--target", given.target]
    command += ["--weights", str(folder / "weights"), "--size", given.size, "--verifier", "none"]
    command += ["--iterations", str(given.iterations), "--set", "sizes=1.0", "--set", "shares=1.0"]
    command += ["--threads", given.threads, "--quiet", "-o", str(folder / "run")]
    began = time.monotonic()
    if run(command):
        raise SystemExit("the inversion failed")
    record = json.loads((folder / "run/masks/records/00000.json").read_text(encoding="utf-8"))
    return time.monotonic() - began, record["seconds"] / record["steps"]


if __name__ == "__main__":
    main()
