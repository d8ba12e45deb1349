"""Specifications of the Mask R-CNNs; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from magkit.specs import TargetSpec

PAPER = "He, Gkioxari, Dollar, Girshick: Mask R-CNN, ICCV 2017, arXiv 1703.06870"
SMALL = Path(__file__).parents[2] / "weights" / "maskrcnn-small.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskRCNNConfig:
    """The regions and terms of the losses; by default the boxes of the masks alone."""

    rois: Literal["true", "sampled"] = field(
        default="true",
        metadata={"help": "regions: the masks' boxes, or also proposals that overlap them"},
    )
    proposals: bool = field(
        default=False,
        metadata={"help": "adds the losses of the proposals: objectness and their boxes"},
    )
    boxes: bool = field(default=False, metadata={"help": "adds the box regression's loss"})


SMALL_SPEC = TargetSpec(
    name="maskrcnn-small",
    summary="a Mask R-CNN with its weights, trained on DAVIS and COCO: bear, bird, dog, ...",
    config=MaskRCNNConfig,
    build="magkit.invert.targets.maskrcnn_networks:build_small",
    weights=SMALL,
    paper=PAPER,
)
V1_SPEC = TargetSpec(
    name="maskrcnn",
    summary="torchvision's Mask R-CNN R50-FPN; COCO weights from a file, the cache or the net",
    config=MaskRCNNConfig,
    build="magkit.invert.targets.maskrcnn_networks:build_v1",
    paper=PAPER,
)
V2_SPEC = TargetSpec(
    name="maskrcnn-v2",
    summary="torchvision's improved Mask R-CNN R50-FPN v2; COCO weights, found likewise",
    config=MaskRCNNConfig,
    build="magkit.invert.targets.maskrcnn_networks:build_v2",
    paper=f"{PAPER}; Li et al., arXiv 2111.11429",
)
