"""The ResNets for CIFAR-10 (He et al., CVPR 2016, section 4.2), with weights from a file.

6n + 2 layers: a convolution to 16 channels, three stages of n residual blocks with 16, 32 and 64
channels at 32, 16 and 8 pixels, the mean over the map, a linear layer. Where a stage begins, the
shortcut takes every second pixel and zeros for the new channels (the paper's option A).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from magkit import MagkitError
from magkit.toolkit import read_weights
from magkit_vision.classifiers import ClassifierTarget
from magkit_vision.files import fill
from magkit_vision.looking import Look

CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
SIZE = (32, 32)  # of CIFAR's pictures, in pixels
WIDTHS = (16, 32, 64)
PUBLISHED = "github.com/akamaster/pytorch_resnet_cifar10"


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut without weights."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.step, self.new = (1, 0) if inputs == width else (2, width - inputs)
        self.conv1 = nn.Conv2d(inputs, width, 3, self.step, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return maps (N, width, H / step, W / step)."""
        y = self.bn2(self.conv2(self.bn1(self.conv1(x_NCHW)).relu()))
        half = self.new // 2
        short = F.pad(x_NCHW[:, :, :: self.step, :: self.step], (0, 0, 0, 0, half, half))
        both: Tensor = y + short
        return both.relu()


class CifarResNet(nn.Module):
    """Normalised pictures (N, 3, 32, 32) to logits (N, classes).

    Args:
        depth: 6n + 2 layers.
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        count = (depth - 2) // 6
        self.layer1 = _stage(WIDTHS[0], WIDTHS[0], count)
        self.layer2 = _stage(WIDTHS[0], WIDTHS[1], count)
        self.layer3 = _stage(WIDTHS[1], WIDTHS[2], count)
        self.linear = nn.Linear(WIDTHS[2], len(CLASSES))

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return logits (N, classes)."""
        x = self.bn1(self.conv1(images_NCHW)).relu()
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def _stage(inputs: int, width: int, count: int) -> nn.Sequential:
    return nn.Sequential(Block(inputs, width), *(Block(width, width) for _ in range(count - 1)))


def cifar_resnet(depth: int, path: Path | None, device: torch.device) -> ClassifierTarget:
    """Build the ResNet of a depth with the weights of a file.

    Raises:
        MagkitError: there is no file, it can't be read, or it holds another network's weights.
    """
    name = f"cifar-resnet{depth}"
    if path is None:
        raise MagkitError(
            f"{name} comes without weights",
            f"--weights FILE: such as a resnet{depth}-*.th of {PUBLISHED}",
        )
    model = CifarResNet(depth)
    fill(model, read_weights(path).tensors, path, name)
    return ClassifierTarget(model, CLASSES, Look(exact=SIZE), SIZE, device)
