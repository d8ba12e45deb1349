"""Inverted residuals (Sandler et al., CVPR 2018) and a decoder that adds finer maps to coarser."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.ops import Conv2dNormActivation

STEM = 16
WIDTHS = (24, 40, 80, 128)  # channels at strides of 4, 8, 16 and 32
BLOCKS = (2, 2, 3, 3)
EXPANSION = 4
DECODER = 64


class Segmenter(nn.Module):
    """Gives every pixel a class: 0.9 M parameters, nothing in common with a detector.

    Args:
        classes: their number, the background (first) among them.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = Conv2dNormActivation(3, STEM, 3, 2, activation_layer=nn.ReLU6)
        inputs = (STEM, *WIDTHS)
        self.stages = nn.ModuleList(
            _stage(before, width, blocks)
            for before, width, blocks in zip(inputs[:-1], WIDTHS, BLOCKS, strict=True)
        )
        self.laterals = nn.ModuleList(nn.Conv2d(width, DECODER, 1) for width in WIDTHS)
        self.merges = nn.ModuleList(Conv2dNormActivation(DECODER, DECODER, 3) for _ in WIDTHS[:-1])
        self.classify = nn.Conv2d(DECODER, classes, 1)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return logits (N, classes, H / 4, W / 4) of normalised pictures."""
        x, maps = self.stem(images_NCHW), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        *finer, coarsest = (lateral(m) for lateral, m in zip(self.laterals, maps, strict=True))
        merged = coarsest
        for merge, skip in zip(self.merges, reversed(finer), strict=True):
            larger = F.interpolate(merged, skip.shape[2:], mode="bilinear", align_corners=False)
            merged = merge(larger + skip)
        logits: Tensor = self.classify(merged)
        return logits


def _stage(inputs: int, width: int, blocks: int) -> nn.Sequential:
    first = InvertedResidual(inputs, width, 2, EXPANSION)
    rest = (InvertedResidual(width, width, 1, EXPANSION) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)
