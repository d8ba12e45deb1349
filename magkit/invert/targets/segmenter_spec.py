"""Specification of the segmenter; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from magkit.specs import TargetSpec

if TYPE_CHECKING:
    import torch

    from magkit.invert.targets.segmenter import SegmenterTarget


WEIGHTS = Path(__file__).parents[2] / "weights" / "segmenter.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmenterConfig:
    """Nothing to choose."""


def build(_config: SegmenterConfig, weights: Path | None, device: torch.device) -> SegmenterTarget:
    """Build the network with the weights of a file; None: those that ship."""
    from magkit.invert.targets.segmenter import shipped

    return shipped(weights or WEIGHTS, device)


SPEC = TargetSpec(
    name="segmenter",
    summary="a small network that gives every pixel a class; the default verifier",
    config=SegmenterConfig,
    build=build,
    weights=WEIGHTS,
    paper="Sandler et al.: MobileNetV2, CVPR 2018, arXiv 1801.04381 (its blocks)",
)
