"""Further networks of per-pixel classes: a ResNet, a ConvNeXt and a ShuffleNet."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.convnext import CNBlockConfig, ConvNeXt
from torchvision.models.shufflenetv2 import ShuffleNetV2
from torchvision.ops import Conv2dNormActivation, FeaturePyramidNetwork

from magkit.invert.targets.maskrcnn_networks import residual_stage
from magkit.invert.targets.segmenter import SegmenterTarget, load_segmenter
from magkit.invert.targets.segmenter_spec import (
    CONVNEXT_WEIGHTS,
    RESNET_WEIGHTS,
    SHUFFLE_WEIGHTS,
    SegmenterConfig,
)

WIDTHS = (32, 64, 96, 160)  # channels at strides of 4, 8, 16 and 32
DECODER = 64
RESNET_STEM = 24
RESNET_BLOCKS = (1, 2, 2, 1)
CONVNEXT_BLOCKS = (2, 2, 3, 2)
STOCHASTIC_DEPTH = 0.05
SHUFFLED = (72, 144, 288)  # channels at strides of 8, 16 and 32


class Decoder(nn.Module):
    """Adds up maps of all strides, as SegFormer does (Xie et al., NeurIPS 2021), and classifies.

    Args:
        classes: their number, the background (first) among them.
        fuse: of `DECODER` channels to as many.
    """

    def __init__(self, classes: int, fuse: nn.Module) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(width, DECODER, 1) for width in WIDTHS)
        self.fuse = fuse
        self.classify = nn.Conv2d(DECODER, classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return logits of the size of the first map."""
        size = maps[0].shape[2:]
        same = [lateral(each) for lateral, each in zip(self.laterals, maps, strict=True)]
        total = torch.stack([F.interpolate(each, size, mode="bilinear") for each in same]).sum(0)
        logits: Tensor = self.classify(self.fuse(total))
        return logits


class ResNetSegmenter(nn.Module):
    """Residual blocks with BatchNorm (He et al., CVPR 2016).

    Args:
        classes: their number, the background (first) among them.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = Conv2dNormActivation(3, RESNET_STEM, 3, 2)
        inputs = (RESNET_STEM, *WIDTHS)
        self.stages = nn.ModuleList(
            residual_stage(before, width, blocks)
            for before, width, blocks in zip(inputs[:-1], WIDTHS, RESNET_BLOCKS, strict=True)
        )
        self.decoder = Decoder(classes, Conv2dNormActivation(DECODER, DECODER, 3))

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return logits (N, classes, H / 4, W / 4) of normalised pictures."""
        x, maps = self.stem(images_NCHW), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        logits: Tensor = self.decoder(maps)
        return logits


class ConvNeXtSegmenter(nn.Module):
    """Depthwise convolutions and layer normalisation, no BatchNorm (Liu et al., CVPR 2022).

    Args:
        classes: their number, the background (first) among them.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        after = (*WIDTHS[1:], None)
        blocks = [CNBlockConfig(*each) for each in zip(WIDTHS, after, CONVNEXT_BLOCKS, strict=True)]
        self.features = ConvNeXt(blocks, STOCHASTIC_DEPTH).features
        fuse = nn.Sequential(nn.Conv2d(DECODER, DECODER, 3, padding=1), nn.GELU())
        self.decoder = Decoder(classes, fuse)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return logits (N, classes, H / 4, W / 4) of normalised pictures."""
        x, maps = images_NCHW, []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number % 2:  # between them lie the layers that halve the size
                maps.append(x)
        logits: Tensor = self.decoder(maps)
        return logits


class ShuffleSegmenter(nn.Module):
    """ShuffleNet v2 (Ma et al., ECCV 2018) and a feature pyramid, read at a stride of 8.

    Args:
        classes: their number, the background (first) among them.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        whole = ShuffleNetV2([4, 8, 4], [24, *SHUFFLED, DECODER])
        self.stem = nn.Sequential(whole.conv1, whole.maxpool)
        self.stages = nn.ModuleList([whole.stage2, whole.stage3, whole.stage4])
        self.pyramid = FeaturePyramidNetwork(list(SHUFFLED), DECODER, norm_layer=nn.BatchNorm2d)
        self.classify = nn.Conv2d(DECODER, classes, 1)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return logits (N, classes, H / 8, W / 8) of normalised pictures."""
        x, maps = self.stem(images_NCHW), OrderedDict[str, Tensor]()
        for number, stage in enumerate(self.stages):
            x = stage(x)
            maps[str(number)] = x
        logits: Tensor = self.classify(self.pyramid(maps)["0"])
        return logits


def build_resnet(
    _config: SegmenterConfig, weights: Path | None, device: torch.device
) -> SegmenterTarget:
    """Build the ResNet with the weights of a file; None: those that ship."""
    path = weights or RESNET_WEIGHTS
    return load_segmenter("resnet-segmenter", ResNetSegmenter, path, device)


def build_convnext(
    _config: SegmenterConfig, weights: Path | None, device: torch.device
) -> SegmenterTarget:
    """Build the ConvNeXt with the weights of a file; None: those that ship."""
    path = weights or CONVNEXT_WEIGHTS
    return load_segmenter("convnext-segmenter", ConvNeXtSegmenter, path, device)


def build_shuffle(
    _config: SegmenterConfig, weights: Path | None, device: torch.device
) -> SegmenterTarget:
    """Build the ShuffleNet with the weights of a file; None: those that ship."""
    path = weights or SHUFFLE_WEIGHTS
    return load_segmenter("shuffle-segmenter", ShuffleSegmenter, path, device)
