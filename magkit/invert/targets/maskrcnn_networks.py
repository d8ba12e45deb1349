"""The built-in Mask R-CNNs: torchvision's two on ResNet-50, and a small one."""

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
# torchvision has renamed layers since the weights of v1 were published.
_RENAMED = {
    r"(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(\w+)": r"\1.0.\2",
    r"rpn\.head\.conv\.(weight|bias)": r"rpn.head.conv.0.0.\1",
    **{
        rf"roi_heads\.mask_head\.mask_fcn{n + 1}\.(\w+)": rf"roi_heads.mask_head.{n}.0.\1"
        for n in range(4)
    },
}


def build_v1(config: MaskRCNNConfig, weights: Path | None, device: torch.device) -> MaskRCNNTarget:
    """Build torchvision's Mask R-CNN v1, with frozen BatchNorm and COCO weights."""
    return load_published("maskrcnn", config, weights, device)


def build_v2(config: MaskRCNNConfig, weights: Path | None, device: torch.device) -> MaskRCNNTarget:
    """Build torchvision's Mask R-CNN v2 with COCO weights."""
    return load_published("maskrcnn-v2", config, weights, device)


def build_small(
    config: MaskRCNNConfig, weights: Path | None, device: torch.device
) -> MaskRCNNTarget:
    """Build the small Mask R-CNN with weights from a file; None: the included ones."""
    return load_small(config, weights or SMALL, device)


def load_published(
    name: str, config: MaskRCNNConfig, path: Path | None, device: torch.device
) -> MaskRCNNTarget:
    """Build v1 or v2 with weights from a file; None: from torch's cache, or downloaded.

    Raises:
        MagkitError: the weights can't be found or read, or belong to another network.
    """
    hint = "maskrcnn-small needs no download"
    source = path or download_weights(_WEIGHTS[name].url, name, hint)
    file = read_target(source, name)
    names = ["background", *_WEIGHTS[name].meta["categories"][1:]]
    model = build(name, len(names))
    load_weights(model, {_current_name(key): v for key, v in file.tensors.items()}, source, name)
    return MaskRCNNTarget(model, names, config, device)


def _current_name(key: str) -> str:
    for old, new in _RENAMED.items():
        if match := re.fullmatch(old, key):
            return match.expand(new)
    return key


def build(name: str, classes: int) -> MaskRCNN:
    """Build v1 or v2 with random weights, with the layer layout of the published ones."""
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
            module.eps = 0.0  # used in training these weights; torchvision's loader sets it too
    return MaskRCNN(backbone, classes)


STEM_WIDTH = 24
WIDTHS = (40, 80, 160, 224)  # channels at strides of 4, 8, 16 and 32
BLOCKS = (1, 2, 2, 2)
PYRAMID_WIDTH = 64
BOX_WIDTH = 128  # of the box head; torchvision's 1,024 would mean 13 million weights
LEVELS = ("0", "1", "2")  # strides of 8, 16 and 32


class SmallBackbone(nn.Module):
    """Residual blocks and a feature pyramid at strides of 8, 16, 32 and 64; 2.8 M parameters.

    Attributes:
        out_channels: channels of every level; torchvision's detectors read it.
    """

    out_channels = PYRAMID_WIDTH

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, STEM_WIDTH, 3, 2, 1, bias=False),
            nn.BatchNorm2d(STEM_WIDTH),
            nn.ReLU(inplace=True),
        )
        inputs = (STEM_WIDTH, *WIDTHS)
        self.stages = nn.ModuleList(
            residual_stage(before, width, blocks)
            for before, width, blocks in zip(inputs[:-1], WIDTHS, BLOCKS, strict=True)
        )
        self.pyramid = FeaturePyramidNetwork(
            list(WIDTHS[1:]), PYRAMID_WIDTH, LastLevelMaxPool(), nn.BatchNorm2d
        )

    def forward(self, images_NCHW: Tensor) -> OrderedDict[str, Tensor]:
        """Return the feature map of each level: "0", "1", "2", and "pool" for proposals only."""
        x, maps = self.stem(images_NCHW), OrderedDict[str, Tensor]()
        for level, stage in enumerate(self.stages, -1):
            x = stage(x)
            if level >= 0:
                maps[str(level)] = x
        levels: OrderedDict[str, Tensor] = self.pyramid(maps)
        return levels


def residual_stage(inputs: int, width: int, blocks: int) -> nn.Sequential:
    """Return residual blocks, the first of which halves the size."""
    downsample = nn.Sequential(nn.Conv2d(inputs, width, 1, 2, bias=False), nn.BatchNorm2d(width))
    first = BasicBlock(inputs, width, 2, downsample)
    return nn.Sequential(first, *(BasicBlock(width, width) for _ in range(blocks - 1)))


def maskrcnn_small(classes: int) -> MaskRCNN:
    """Build the small network with random weights.

    Args:
        classes: the number of classes, including the background.
    """
    pooled = 7
    return MaskRCNN(
        SmallBackbone(),
        rpn_anchor_generator=AnchorGenerator(
            ((32,), (64,), (128,), (256,)), ((0.5, 1.0, 2.0),) * 4
        ),
        rpn_head=RPNHead(PYRAMID_WIDTH, 3),
        rpn_pre_nms_top_n_train=400,
        rpn_pre_nms_top_n_test=200,
        rpn_post_nms_top_n_train=200,
        rpn_post_nms_top_n_test=60,
        rpn_batch_size_per_image=128,
        box_roi_pool=MultiScaleRoIAlign(LEVELS, pooled, 2),
        box_head=TwoMLPHead(PYRAMID_WIDTH * pooled**2, BOX_WIDTH),
        box_predictor=FastRCNNPredictor(BOX_WIDTH, classes),
        box_batch_size_per_image=64,
        box_detections_per_img=20,
        mask_roi_pool=MultiScaleRoIAlign(LEVELS, 14, 2),
        mask_head=MaskRCNNHeads(PYRAMID_WIDTH, (PYRAMID_WIDTH, PYRAMID_WIDTH), 1),
        mask_predictor=MaskRCNNPredictor(PYRAMID_WIDTH, PYRAMID_WIDTH, classes),
    )


NAME = "maskrcnn-small"


def load_small(config: MaskRCNNConfig, path: Path, device: torch.device) -> MaskRCNNTarget:
    """Build the small network with weights from a file.

    Raises:
        MagkitError: the weights can't be read, or belong to another network.
    """
    file = read_target(path, NAME)
    names = ["background", *class_names(file, path, CLASSES)]
    model = maskrcnn_small(len(names))
    load_weights(model, file.tensors, path, NAME)
    return MaskRCNNTarget(model, names, config, device)
