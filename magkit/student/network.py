"""The student: a small U-Net that gives every pixel a class."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, cat, nn
from torch.nn import functional as F

GROUPS = 4
LEVELS = 4
PATCH = 2  # pixels: side of the patches that the network sees as one place, for speed
MULTIPLE = PATCH * 2 ** (LEVELS - 1)  # of the sides of a picture, pixels


class UNet(nn.Module):
    """Ronneberger et al., MICCAI 2015, with group normalisation, on patches of pixels.

    The networks that ship have another design: BatchNorm and residual blocks.

    Args:
        classes: their number, the background (first) among them.
        width: channels of the finest of four levels; each level doubles them.
    """

    def __init__(self, classes: int, width: int = 16) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(LEVELS)]
        inputs = [3 * PATCH**2, *widths]
        self.down = nn.ModuleList(_block(before, after) for before, after in pairwise(inputs))
        pairs = list(pairwise(widths))
        self.up = nn.ModuleList(_block(fine + coarse, fine) for fine, coarse in reversed(pairs))
        self.classify = nn.Conv2d(width, classes * PATCH**2, 1)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return logits (N, classes, H, W) of pictures in [0, 1]; sides are multiples of 16."""
        x, maps = F.pixel_unshuffle(images_NCHW - 0.5, PATCH), []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            maps.append(x)
        for block, skip in zip(self.up, reversed(maps[:-1]), strict=True):
            larger = F.interpolate(x, skip.shape[2:], mode="bilinear", align_corners=False)
            x = block(cat([skip, larger], 1))
        return F.pixel_shuffle(self.classify(x), PATCH)


def _block(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs in (before, after):
        layers += [nn.Conv2d(inputs, after, 3, padding=1, bias=False)]
        layers += [nn.GroupNorm(GROUPS, after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
