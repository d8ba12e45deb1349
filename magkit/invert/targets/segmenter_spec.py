"""Specification of the segmenter; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from magkit.specs import TargetSpec

WEIGHTS = Path(__file__).parents[2] / "weights" / "segmenter.safetensors"


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
