"""torchvision's ResNets as encoders: for training without labels alone, no magnifier has one."""

from __future__ import annotations

import torch
from torch import nn
from torchvision.models import resnet
from torchvision.transforms.functional import normalize

from magkit.errors import UsageError, did_you_mean

STRIDE = 32  # pixels to a cell of the last stage's map
# Of ImageNet's pictures: what torchvision's networks expect to be taken out of theirs.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BACKBONES = ("resnet18", "resnet34", "resnet50")


class Backbone(nn.Module):
    """A ResNet up to its last stage; the names in its state dict are torchvision's."""

    def __init__(self, network: resnet.ResNet) -> None:
        super().__init__()
        stages = [name for name, _ in network.named_children() if name not in ("avgpool", "fc")]
        for name in stages:
            self.add_module(name, network.get_submodule(name))

    def forward(self, frames_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
        """Encode frames in [0, 1] to {"features": (N, C, H/32, W/32)}."""
        x = normalize(frames_NCHW, MEAN, DEVIATION)
        for stage in self.children():
            x = stage(x)
        return {"features": x}


def build_backbone(name: str) -> tuple[Backbone, dict[str, int]]:
    """Build a ResNet with random weights.

    Returns:
        The encoder, and the stride of its one branch, "features", in pixels.

    Raises:
        UsageError: there is no backbone of that name.
    """
    if name not in BACKBONES:
        raise UsageError(f"no backbone is named '{name}'", did_you_mean(name, BACKBONES))
    return Backbone(getattr(resnet, name)(weights=None)), {"features": STRIDE}
