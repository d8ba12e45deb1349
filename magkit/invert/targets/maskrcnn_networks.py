"""The Mask R-CNNs that ship: torchvision's two on ResNet-50, and the small one, with weights."""

from __future__ import annotations

import re
from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.detection import (
    MaskRCNN,
    MaskRCNN_ResNet50_FPN_V2_Weights,
    MaskRCNN_ResNet50_FPN_Weights,
    maskrcnn_resnet50_fpn_v2,
)
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import AnchorGenerator, RPNHead
from torchvision.models.resnet import BasicBlock
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from magkit.invert import CLASSES
from magkit.invert.targets.load import class_names, load_weights, read_target
from magkit.invert.targets.maskrcnn import MaskRCNNTarget
from magkit.invert.targets.maskrcnn_spec import SMALL, MaskRCNNConfig
from magkit.runtime.weights import download_weights

_WEIGHTS = {
    "maskrcnn": MaskRCNN_ResNet50_FPN_Weights.COCO_V1,
    "maskrcnn-v2": MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1,
}
# The first one's weights are older than the names that its layers have today.
_RENAMED = {
    r"(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(\w+)": r"\1.0.\2",
    r"rpn\.head\.conv\.(weight|bias)": r"rpn.head.conv.0.0.\1",
    **{
        rf"roi_heads\.mask_head\.mask_fcn{n + 1}\.(\w+)": rf"roi_heads.mask_head.{n}.0.\1"
        for n in range(4)
    },
}


def build_v1(config: MaskRCNNConfig, weights: Path | None, device: torch.device) -> MaskRCNNTarget:
    """Build torchvision's first Mask R-CNN, with frozen BatchNorm, and its COCO weights."""
    return published("maskrcnn", config, weights, device)


def build_v2(config: MaskRCNNConfig, weights: Path | None, device: torch.device) -> MaskRCNNTarget:
    """Build torchvision's second Mask R-CNN and its COCO weights."""
    return published("maskrcnn-v2", config, weights, device)


def build_small(
    config: MaskRCNNConfig, weights: Path | None, device: torch.device
) -> MaskRCNNTarget:
    """Build the small Mask R-CNN with the weights of a file; None: those that ship."""
    return shipped(config, weights or SMALL, device)


def published(
    name: str, config: MaskRCNNConfig, path: Path | None, device: torch.device
) -> MaskRCNNTarget:
    """Build one of the two with the weights of a file; None: the cache's, or downloaded ones.

    Raises:
        MagkitError: they are nowhere, can't be read, or are another network's.
    """
    hint = "maskrcnn-small needs no download"
    source = path or download_weights(_WEIGHTS[name].url, name, hint)
    found = read_target(source, name)
    names = ["background", *_WEIGHTS[name].meta["categories"][1:]]
    model = build(name, len(names))
    load_weights(model, {_today(key): v for key, v in found.tensors.items()}, source, name)
    return MaskRCNNTarget(model, names, config, device)


def _today(key: str) -> str:
    for old, new in _RENAMED.items():
        if found := re.fullmatch(old, key):
            return found.expand(new)
    return key


def build(name: str, classes: int) -> MaskRCNN:
    """Build one of the two with random weights, laid out as the published ones are."""
    if name == "maskrcnn-v2":
        model: MaskRCNN = maskrcnn_resnet50_fpn_v2(
            weights=None, weights_backbone=None, num_classes=classes
        )
        return model
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm2d, trainable_layers=5
    )
    for module in backbone.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.eps = 0.0  # as these weights were trained (torchvision's own loader does so)
    return MaskRCNN(backbone, classes)


STEM = 24
WIDTHS = (40, 80, 160, 224)  # channels at strides of 4, 8, 16 and 32
BLOCKS = (1, 2, 2, 2)
PYRAMID = 64
HIDDEN = 128  # of the box head: with torchvision's 1,024 it alone would be 13 million weights
LEVELS = ("0", "1", "2")  # strides of 8, 16 and 32


class SmallBackbone(nn.Module):
    """Residual blocks and a feature pyramid at strides of 8, 16, 32 and 64, 2.8 M parameters.

    Attributes:
        out_channels: of every level, as torchvision's detectors ask for it.
    """

    out_channels = PYRAMID

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, STEM, 3, 2, 1, bias=False), nn.BatchNorm2d(STEM), nn.ReLU(inplace=True)
        )
        inputs = (STEM, *WIDTHS)
        self.stages = nn.ModuleList(
            _stage(before, width, blocks)
            for before, width, blocks in zip(inputs[:-1], WIDTHS, BLOCKS, strict=True)
        )
        self.pyramid = FeaturePyramidNetwork(
            list(WIDTHS[1:]), PYRAMID, LastLevelMaxPool(), nn.BatchNorm2d
        )

    def forward(self, images_NCHW: Tensor) -> OrderedDict[str, Tensor]:
        """Return the maps of the levels: "0", "1", "2", and "pool" for the proposals alone."""
        x, maps = self.stem(images_NCHW), OrderedDict[str, Tensor]()
        for level, stage in enumerate(self.stages, -1):
            x = stage(x)
            if level >= 0:
                maps[str(level)] = x
        levels: OrderedDict[str, Tensor] = self.pyramid(maps)
        return levels


def _stage(inputs: int, width: int, blocks: int) -> nn.Sequential:
    shrink = nn.Sequential(nn.Conv2d(inputs, width, 1, 2, bias=False), nn.BatchNorm2d(width))
    first = BasicBlock(inputs, width, 2, shrink)
    return nn.Sequential(first, *(BasicBlock(width, width) for _ in range(blocks - 1)))


def maskrcnn_small(classes: int) -> MaskRCNN:
    """Build the network with random weights.

    Args:
        classes: their number, the background among them.
    """
    pooled = 7
    return MaskRCNN(
        SmallBackbone(),
        rpn_anchor_generator=AnchorGenerator(
            ((32,), (64,), (128,), (256,)), ((0.5, 1.0, 2.0),) * 4
        ),
        rpn_head=RPNHead(PYRAMID, 3),
        rpn_pre_nms_top_n_train=400,
        rpn_pre_nms_top_n_test=200,
        rpn_post_nms_top_n_train=200,
        rpn_post_nms_top_n_test=60,
        rpn_batch_size_per_image=128,
        box_roi_pool=MultiScaleRoIAlign(LEVELS, pooled, 2),
        box_head=TwoMLPHead(PYRAMID * pooled**2, HIDDEN),
        box_predictor=FastRCNNPredictor(HIDDEN, classes),
        box_batch_size_per_image=64,
        box_detections_per_img=20,
        mask_roi_pool=MultiScaleRoIAlign(LEVELS, 14, 2),
        mask_head=MaskRCNNHeads(PYRAMID, (PYRAMID, PYRAMID), 1),
        mask_predictor=MaskRCNNPredictor(PYRAMID, PYRAMID, classes),
    )


NAME = "maskrcnn-small"


def shipped(config: MaskRCNNConfig, path: Path, device: torch.device) -> MaskRCNNTarget:
    """Build the small network with the weights of a file.

    Raises:
        MagkitError: they can't be read, or are another network's.
    """
    found = read_target(path, NAME)
    names = ["background", *class_names(found, path, CLASSES)]
    model = maskrcnn_small(len(names))
    load_weights(model, found.tensors, path, NAME)
    return MaskRCNNTarget(model, names, config, device)
