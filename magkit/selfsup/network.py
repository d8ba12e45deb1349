"""The network that is pretrained: the encoder of a magnifier, or one of torchvision's ResNets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torchvision.models import resnet
from torchvision.transforms.functional import normalize

from magkit.errors import UsageError, did_you_mean
from magkit.magnify.encoder import encoder_spec
from magkit.options import parse_options
from magkit.plugins import registry
from magkit.runtime.seeds import derived_seed
from magkit.specs import MapInfo

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


WEIGHTS = 3  # first part of the key of the draw of random weights
BOTH = "both"
BACKBONE_CENTRE = 0.5  # pixels: kernels of odd sides start at the first pixel


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """An encoder with random weights, and which of its branches are trained.

    Attributes:
        encoder: frames (N, 3, H, W) in [0, 1] to a dict of feature maps.
        name: of the magnifier or backbone.
        config: of the magnifier, of JSON's types.
        branches: those that are trained.
        maps: what every branch's map is like.
    """

    encoder: nn.Module
    name: str
    config: Mapping[str, Any]
    branches: tuple[str, ...]
    maps: Mapping[str, MapInfo]


def build_network(
    magnifier: str,
    options: Sequence[str],
    backbone: str | None,
    branch: str,
    size: int,
    seed: int,
) -> Network:
    """Build what is to be trained.

    Args:
        magnifier: name, as `--magnifier` takes it.
        options: KEY=VALUE texts, the magnifier's own.
        backbone: one of torchvision's, in place of a magnifier's encoder.
        branch: of the encoder, or "both".
        size: side of the views in pixels.
        seed: of the random weights.

    Raises:
        UsageError: there is no such magnifier, option, backbone or branch, or views of that size
            can't be encoded.
    """
    torch.manual_seed(derived_seed(seed, WEIGHTS))
    config: Mapping[str, Any] = {}
    centres: Mapping[str, float] = {}
    if backbone is not None:
        encoder: nn.Module
        encoder, strides = build_backbone(backbone)
        centres = dict.fromkeys(strides, BACKBONE_CENTRE)
    else:
        spec = registry().magnifier(magnifier)
        parsed = parse_options(spec.config, options, f"magnifier '{magnifier}'")
        part = encoder_spec(spec)
        encoder, strides, config = part.build(parsed), dict(part.strides), asdict(parsed)
        centres = part.centres
    name = backbone or magnifier
    if size % max(strides.values()):
        problem = f"views of {size} pixels don't suit '{name}'"
        raise UsageError(problem, f"--size must be a multiple of {max(strides.values())}")
    return Network(
        encoder=encoder,
        name=name,
        config=config,
        branches=_branches(name, branch, strides),
        maps=_maps(encoder, size, strides, centres),
    )


def _branches(name: str, branch: str, strides: Mapping[str, int]) -> tuple[str, ...]:
    if branch == BOTH:
        return tuple(strides)
    if branch not in strides:
        raise UsageError(
            f"'{name}' has no branch '{branch}'", did_you_mean(branch, [BOTH, *strides])
        )
    return (branch,)


def _maps(
    encoder: nn.Module, size: int, strides: Mapping[str, int], centres: Mapping[str, float]
) -> dict[str, MapInfo]:
    encoder.eval()
    with torch.no_grad():
        maps = encoder(torch.zeros(1, 3, size, size))
    encoder.train()
    return {
        branch: MapInfo(
            channels=int(maps[branch].shape[1]),
            stride=stride,
            centre=centres.get(branch, stride / 2),
        )
        for branch, stride in strides.items()
    }
