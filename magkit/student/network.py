"""The student: a small ShuffleNet that gives every pixel a class."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from magkit.invert.priors import normalize
from magkit.invert.targets.segmenter_networks import ShuffleSegmenter

MULTIPLE = 32  # of the sides of a picture, pixels: the network's greatest stride


class Student(nn.Module):
    """ShuffleNet v2 with a feature pyramid; no block of the inverted networks has its design.

    Args:
        classes: their number, the background (first) among them.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.network = ShuffleSegmenter(classes)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return logits (N, classes, H, W) of pictures in [0, 1]."""
        logits = self.network(normalize(images_NCHW))
        return F.interpolate(logits, images_NCHW.shape[2:], mode="bilinear", align_corners=False)
