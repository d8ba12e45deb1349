"""Backbones: torchvision's ResNets, and networks that users name as "package.module:factory"."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.models import resnet
from torchvision.transforms.functional import normalize

from magkit.errors import UsageError, did_you_mean
from magkit.specs import UnresolvedError, import_callable, is_reference

BACKBONES = ("resnet18", "resnet34", "resnet50")
RESNET_STRIDE = 32  # pixels to a cell of the last stage's map
RESNET_CENTRE = 0.5  # pixels: kernels of odd sides start at the first pixel
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FEATURES = "features"  # the branch of an encoder that has but one map
SIZE = 224  # pixels: side of the frame that shows the stride of an own backbone
WANTED = "a map (N, C, h, w) of frames (N, 3, H, W), or a dict of such maps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backbone:
    """An encoder that is no magnifier's.

    Attributes:
        encoder: maps frames (N, 3, H, W) in [0, 1] to a dict of feature maps (N, C, h, w).
        strides: pixels of the frame to a cell, by branch.
        centres: pixels from the frame's edge to the middle of what the first cell looks at, by
            branch; half of the stride where it isn't named.
    """

    encoder: nn.Module
    strides: Mapping[str, int]
    centres: Mapping[str, float]


class ResNetEncoder(nn.Module):
    """A ResNet up to its last stage; the names in its state dict are torchvision's."""

    def __init__(self, network: resnet.ResNet) -> None:
        super().__init__()
        for name, stage in network.named_children():
            if name not in ("avgpool", "fc"):
                self.add_module(name, stage)

    def forward(self, frames_NCHW: torch.Tensor) -> dict[str, torch.Tensor]:
        """Encode frames in [0, 1] to {"features": (N, C, H/32, W/32)}."""
        x = normalize(frames_NCHW, IMAGENET_MEAN, IMAGENET_STD)
        for stage in self.children():
            x = stage(x)
        return {FEATURES: x}


def build_backbone(name: str, size: int | None = None) -> Backbone:
    """Build a backbone: a ResNet with random weights, or what a user's factory returns.

    Args:
        name: one of `BACKBONES`, or "package.module:factory": a callable without arguments that
            returns a module. This imports the module, from the working directory too.
        size: side in pixels of the frame whose maps show the strides of an own backbone; None:
            224.

    Raises:
        UsageError: there is no such backbone; or the factory fails, or returns something else.
    """
    if is_reference(name):
        return _own_backbone(name, size or SIZE)
    if name not in BACKBONES:
        hint = "an own encoder is named package.module:factory"
        raise UsageError(
            f"no backbone is named '{name}'", f"{did_you_mean(name, BACKBONES)}; {hint}"
        )
    encoder = ResNetEncoder(getattr(resnet, name)(weights=None))
    return Backbone(
        encoder=encoder, strides={FEATURES: RESNET_STRIDE}, centres={FEATURES: RESNET_CENTRE}
    )


def _own_backbone(name: str, size: int) -> Backbone:
    encoder = _made(name)
    # A hook rather than a module around it: the names in its state dict stay its own.
    encoder.register_forward_hook(_as_maps)
    strides = {b: _stride(name, b, m, size) for b, m in _example_maps(encoder, name, size).items()}
    return Backbone(encoder=encoder, strides=strides, centres={})


def _made(name: str) -> nn.Module:
    """Import a factory and call it."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # last: a file there replaces no installed module
    try:
        made = import_callable(name)()
    except UnresolvedError as error:
        raise UsageError(
            f"the backbone '{name}' can't be loaded: {error}",
            "package.module:factory names a callable; modules are searched for where Python's are"
            " installed and in the working directory",
        ) from error
    except Exception as error:  # it is the user's code
        raise UsageError(f"the backbone '{name}' can't be made: {_said(error)}") from error
    if not isinstance(made, nn.Module):
        raise UsageError(
            f"the backbone '{name}' returned a {type(made).__name__}, not a torch.nn.Module",
            f"name a callable without arguments that returns a module that makes {WANTED}",
        )
    return made


def _as_maps(_module: nn.Module, _inputs: Any, output: Any) -> Any:
    return {FEATURES: output} if isinstance(output, torch.Tensor) else output


def _example_maps(encoder: nn.Module, name: str, size: int) -> dict[str, torch.Tensor]:
    """Encode one black frame of a square size, and check what comes out."""
    training = encoder.training
    encoder.eval()
    try:
        with torch.no_grad():
            maps = encoder(torch.zeros(1, 3, size, size))
    except Exception as error:  # it is the user's code
        raise UsageError(
            f"the backbone '{name}' can't encode a frame of {size} x {size} pixels: {_said(error)}"
        ) from error
    finally:
        encoder.train(training)
    if not isinstance(maps, Mapping) or not maps or not all(map(_is_map, maps.values())):
        raise UsageError(f"the backbone '{name}' returned {_described(maps)}, not {WANTED}")
    for branch in maps:
        if not isinstance(branch, str) or not branch.isidentifier() or branch == "both":
            raise UsageError(
                f"the backbone '{name}' names a map {branch!r}",
                "letters, digits and underscores make a name, but not 'both'",
            )
    return dict(maps)


def _is_map(value: Any) -> bool:
    return (
        isinstance(value, torch.Tensor)
        and value.is_floating_point()
        and value.ndim == 4
        and len(value) == 1
        and value.numel() > 0
    )


def _stride(name: str, branch: str, maps: torch.Tensor, size: int) -> int:
    height, width = maps.shape[-2:]
    if height != width or size % height:
        raise UsageError(
            f"the backbone '{name}' makes a map '{branch}' of {height} x {width} cells of a frame"
            f" of {size} x {size} pixels: no whole number of pixels to a cell",
            "frames' sides must be multiples of the stride (--size), and its convolutions padded",
        )
    return size // height


def _described(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, Mapping) and value:
        wrong = next((v for v in value.values() if not _is_map(v)), None)
        return _described(wrong) if set(value) == {FEATURES} else f"a dict of {_described(wrong)}"
    return f"a {type(value).__name__}"


def _said(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
