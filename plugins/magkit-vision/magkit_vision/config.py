"""What can be chosen of each target, without importing torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


def _classes() -> Any:
    text = "names, in order and without the background, where a file's classes are its own"
    return field(default=(), metadata={"help": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class NoConfig:
    """Nothing to choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlyClasses:
    """A network of which there is one."""

    classes: tuple[str, ...] = _classes()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepLabConfig:
    """What the maps come from."""

    backbone: Literal["resnet50", "resnet101", "mobilenet_v3_large"] = field(
        default="resnet50", metadata={"help": "what its maps come from"}
    )
    classes: tuple[str, ...] = _classes()


@dataclass(frozen=True, slots=True, kw_only=True)
class FCNConfig:
    """What the maps come from."""

    backbone: Literal["resnet50", "resnet101"] = field(
        default="resnet50", metadata={"help": "what its maps come from"}
    )
    classes: tuple[str, ...] = _classes()


@dataclass(frozen=True, slots=True, kw_only=True)
class RetinaNetConfig:
    """Which of torchvision's two."""

    version: Literal["v1", "v2"] = field(
        default="v1", metadata={"help": "v1: frozen BatchNorm; v2: the improved recipe"}
    )
    classes: tuple[str, ...] = _classes()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierConfig:
    """Which network, and which of its published weights."""

    model: str = field(
        default="resnet18", metadata={"help": "as torchvision.models.list_models() names it"}
    )
    published: str = field(
        default="DEFAULT", metadata={"help": "which of torchvision's weights: IMAGENET1K_V1, ..."}
    )
    classes: tuple[str, ...] = _classes()


@dataclass(frozen=True, slots=True, kw_only=True)
class ViTConfig:
    """Which vision transformer, and which of its published weights."""

    model: Literal["vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14"] = field(
        default="vit_b_16", metadata={"help": "size, and pixels of a patch's side"}
    )
    published: str = field(
        default="DEFAULT", metadata={"help": "which of torchvision's weights: IMAGENET1K_V1, ..."}
    )
    classes: tuple[str, ...] = _classes()
