"""Quantise the inverted network to 8 bits, calibrated on inverted frames, real ones and noise.

    python benchmarks/inversion_calibration.py RUN --davis DAVIS

RUN is a run of `magkit invert --target maskrcnn-small`. The backbone and the heads are quantised by
torch, statically, with a scale per output channel of the weights; the scales of activations are
taken while the network sees the calibration pictures. J is that of full detection on real frames
that RUN did not use: other frames of its videos, and other videos of its classes; the included
network was trained on the even frames of all of these. Photographs of --unrelated calibrate too.
Differences have 95 % intervals of a bootstrap over videos. Prints JSON and exits with 1 if
calibration on inverted frames is more than .01 behind that on real ones, or not certainly better
than on noise.
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
from torch.ao.quantization import (
    HistogramObserver,
    QConfig,
    QConfigMapping,
    default_per_channel_weight_observer,
    get_default_qconfig_mapping,
)
from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

from magkit.errors import MagkitError
from magkit.evaluate.bootstrap import difference_of_means
from magkit.invert.load_job import load_job
from magkit.invert.plan import ClipPlan, evenly_spaced
from magkit.invert.targets.load import build_target
from magkit.student.held_out import HeldOutFrame, classes_of, held_out_frames
from magkit.student.pictures import class_similarity, controls, inverted
from magkit.synth.pictures import FilePictures
from magkit.synth.sources import cover

TARGET = "maskrcnn-small"
BAR = 0.01  # of J
LAYERS = {  # modules that are quantised, and the shape of their inputs
    "backbone": (1, 3, 64, 64),
    "rpn.head.conv": (1, 64, 8, 8),
    "roi_heads.box_head": (1, 64, 7, 7),
    "roi_heads.mask_head": (1, 64, 14, 14),
}


def quantisation(bits: int) -> Any:
    """Return how torch quantises: weights to 8 bits, activations to so many."""
    if bits == 8:
        return get_default_qconfig_mapping("x86")
    observer = HistogramObserver.with_args(
        dtype=torch.quint8, quant_min=0, quant_max=2**bits - 1, qscheme=torch.per_tensor_affine
    )
    config = QConfig(observer, default_per_channel_weight_observer)  # type: ignore[no-untyped-call]
    return QConfigMapping().set_global(config)


def quantised(target: Any, pictures: Sequence[Tensor], bits: int = 8) -> Any:
    """Return a copy of a target with quantised layers, calibrated on pictures (3, H, W).

    Args:
        target: in single precision.
        pictures: to calibrate on.
        bits: of the activations.
    """
    made, mapping = copy.deepcopy(target), quantisation(bits)
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
    """Return J of the union of what a target is sure of, in each frame."""
    return [
        class_similarity(target.predict(each.image_3HW[None])[0], each.label, each.mask_HW)
        for each in frames
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description="8-bit calibration on inverted frames.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--davis", type=Path, required=True)
    parser.add_argument("--unrelated", type=Path, help="a folder of photographs")
    parser.add_argument("--bits", type=int, choices=range(2, 9), default=8, help="of activations")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", message="torch.ao.quantization is deprecated")
    try:
        result = calibrate(given.run, given.davis, given.unrelated, given.bits)
    except MagkitError as error:
        raise SystemExit(f"{error.message}\n{error.hint}") from error
    print(json.dumps(result, indent=1))
    behind, ahead = result["inverted minus real frame"], result["inverted minus noise"]
    raise SystemExit(behind[0] < -BAR or ahead[1] <= 0)


def calibrate(run: Path, davis: Path, unrelated: Path | None, bits: int) -> dict[str, Any]:
    """Return J of the network in single precision and of each calibration, with differences."""
    _, plans, targets = load_job(run, davis, ())
    clips = [plan for plan in plans if isinstance(plan, ClipPlan)]
    if not clips or targets[0].name != TARGET:
        raise MagkitError(f"{run} is no run of masks with the target {TARGET}", "invert such a one")
    classes, target = classes_of(clips), build_target(targets[0], torch.device("cpu"))
    tests, size = held_out_frames(clips, davis, classes), clips[0].size
    made = {
        "inverted": inverted(clips, run, classes, size),
        **controls(clips, ("real frame", "noise"), classes, size),
    }
    pictures = {name: [each.image_3HW for each in found] for name, found in made.items()}
    if unrelated is not None:
        source = FilePictures(unrelated)
        chosen = evenly_spaced(len(source), len(pictures["inverted"]))
        shown = [cover(source.picture(n).float() / 255, *size) for n in chosen]
        pictures["unrelated photographs"] = shown
    found = {"float": score(target, tests)}
    for name, shown in pictures.items():
        found[name] = score(quantised(target, shown, bits), tests)
    videos = [test.video for test in tests]
    differences = {
        f"inverted minus {name}": list(difference_of_means(found["inverted"], values, videos))
        for name, values in found.items()
        if name != "inverted"
    }
    means = {name: fmean(values) for name, values in found.items()}
    return {
        "J": means,
        "bits": bits,
        "frames": len(tests),
        "pictures": len(pictures["noise"]),
        **differences,
    }


if __name__ == "__main__":
    main()
