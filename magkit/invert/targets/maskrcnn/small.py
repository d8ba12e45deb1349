"""`maskrcnn-small`: torchvision's MaskRCNN class on a small backbone with BatchNorm, slim heads."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import AnchorGenerator, RPNHead
from torchvision.models.resnet import BasicBlock
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

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
