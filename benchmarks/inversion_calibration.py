"""Quantise the inverted network to 8 bits, calibrated on inverted frames, real ones and noise.

    python benchmarks/inversion_calibration.py RUN --davis DAVIS

RUN is a run of `magkit invert --target maskrcnn-small`. The backbone and the heads are quantised by
torch, statically, with a scale per output channel of the weights; the scales of activations are
taken while the network sees the calibration pictures. J is that of full detection on real frames
that RUN did not use: other frames of its videos, and other videos of its classes. Prints JSON and
exits with 1 if calibration on inverted frames is more than .01 behind that on real ones, or no
better than on noise.
"""

from __future__ import annotations

import argparse
import copy
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from torch.ao.quantization import get_default_qconfig_mapping
from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

from magkit.errors import MagkitError
from magkit.evaluate.bootstrap import difference_of_means
from magkit.invert.load_job import load_job
from magkit.invert.measures import best_agreement
from magkit.invert.plan import ClipPlan
from magkit.invert.targets.load import build_target
from magkit.student.pictures import (
    HeldOutFrame,
    classes_of,
    control,
    held_out_frames,
    inverted,
)

BAR = 0.01  # of J
LAYERS = {  # modules that are quantised, and the shape of their inputs
    "backbone": (1, 3, 64, 64),
    "rpn.head.conv": (1, 64, 8, 8),
    "roi_heads.box_head": (1, 64, 7, 7),
    "roi_heads.mask_head": (1, 64, 14, 14),
}


def quantised(target: Any, pictures: Sequence[Tensor]) -> Any:
    """Return a copy of a target whose layers have 8 bits, calibrated on pictures (3, H, W)."""
    made = copy.deepcopy(target)
    mapping = get_default_qconfig_mapping("x86")
    for name, shape in LAYERS.items():
        layer = prepare_fx(made.model.get_submodule(name), mapping, (torch.zeros(shape),))
        replace(made.model, name, layer)
    for picture in pictures:
        made.predict(picture[None])
    for name in LAYERS:
        replace(made.model, name, convert_fx(made.model.get_submodule(name)))
    return made


def replace(model: torch.nn.Module, name: str, layer: torch.nn.Module) -> None:
    """Put a layer in the place of another."""
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, layer)


def score(target: Any, frames: Sequence[HeldOutFrame]) -> list[float]:
    """Return J of each frame."""
    return [
        float(
            best_agreement(target.predict(each.image_3HW[None])[0], each.mask_HW, each.label).region
        )
        for each in frames
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description="8-bit calibration on inverted frames.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", message="torch.ao.quantization is deprecated")
    try:
        result = calibrate(given.run, given.davis)
    except MagkitError as error:
        raise SystemExit(f"{error.message}\n{error.hint}") from error
    print(json.dumps(result, indent=1))
    behind, ahead = result["inverted minus real"][0], result["inverted minus noise"][0]
    raise SystemExit(behind < -BAR or ahead <= 0)


def calibrate(run: Path, davis: Path) -> dict[str, Any]:
    """Return J of the network in single precision and of each calibration, with differences."""
    _, plans, targets = load_job(run, davis, ())
    clips = [plan for plan in plans if isinstance(plan, ClipPlan)]
    classes, target = classes_of(clips), build_target(targets[0], torch.device("cpu"))
    tests = held_out_frames(clips, davis, classes)
    pictures = {
        "inverted": inverted(clips, run, classes),
        "real": control("real frame", clips, classes),
        "noise": control("noise", clips, classes),
    }
    found = {"float": score(target, tests)}
    for name, made in pictures.items():
        found[name] = score(quantised(target, [each.image_3HW for each in made]), tests)
    differences = {
        f"inverted minus {name}": list(difference_of_means(found["inverted"], found[name]))
        for name in ("real", "noise", "float")
    }
    means = {name: fmean(values) for name, values in found.items()}
    return {"J": means, "frames": len(tests), "pictures": len(pictures["real"]), **differences}


if __name__ == "__main__":
    main()
