"""Specifications of the networks of per-pixel classes; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from magkit.specs import TargetSpec

_FOLDER = Path(__file__).parents[2] / "weights"
WEIGHTS = _FOLDER / "segmenter.safetensors"
RESNET_WEIGHTS = _FOLDER / "resnet-segmenter.safetensors"
CONVNEXT_WEIGHTS = _FOLDER / "convnext-segmenter.safetensors"
SHUFFLE_WEIGHTS = _FOLDER / "shuffle-segmenter.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmenterConfig:
    """No options."""


SPEC = TargetSpec(
    name="segmenter",
    summary="a small network that gives every pixel a class; the default verifier",
    config=SegmenterConfig,
    build="magkit.invert.targets.segmenter:build",
    weights=WEIGHTS,
    paper="Sandler et al.: MobileNetV2, CVPR 2018, arXiv 1801.04381 (its blocks)",
)
RESNET_SPEC = TargetSpec(
    name="resnet-segmenter",
    summary="a ResNet that gives every pixel a class; trained on maskrcnn-small's pictures",
    config=SegmenterConfig,
    build="magkit.invert.targets.segmenter_networks:build_resnet",
    weights=RESNET_WEIGHTS,
    paper="He et al.: Deep residual learning, CVPR 2016, arXiv 1512.03385 (its blocks)",
)
CONVNEXT_SPEC = TargetSpec(
    name="convnext-segmenter",
    summary="a ConvNeXt that gives every pixel a class; a second verifier",
    config=SegmenterConfig,
    build="magkit.invert.targets.segmenter_networks:build_convnext",
    weights=CONVNEXT_WEIGHTS,
    paper="Liu et al.: A ConvNet for the 2020s, CVPR 2022, arXiv 2201.03545 (its blocks)",
)
SHUFFLE_SPEC = TargetSpec(
    name="shuffle-segmenter",
    summary="a ShuffleNet that gives every pixel a class; a third verifier",
    config=SegmenterConfig,
    build="magkit.invert.targets.segmenter_networks:build_shuffle",
    weights=SHUFFLE_WEIGHTS,
    paper="Ma et al.: ShuffleNet V2, ECCV 2018, arXiv 1807.11164",
)
