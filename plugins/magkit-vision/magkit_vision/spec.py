"""The targets, without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magkit import Target, TargetSpec, hookimpl
from magkit_vision.config import (
    ClassifierConfig,
    DeepLabConfig,
    FCNConfig,
    NoConfig,
    OnlyClasses,
    RetinaNetConfig,
    ViTConfig,
)

if TYPE_CHECKING:
    import torch

DEPTHS = (20, 32, 44, 56, 110)  # of the ResNets for CIFAR-10


def build_deeplab(config: DeepLabConfig, weights: Path | None, device: torch.device) -> Target[Any]:
    """Build DeepLabV3 with the weights of a file; None: torchvision's."""
    from magkit_vision.segmentation import segmenter

    return segmenter(f"deeplabv3_{config.backbone}", config.classes, weights, device)


def build_fcn(config: FCNConfig, weights: Path | None, device: torch.device) -> Target[Any]:
    """Build FCN with the weights of a file; None: torchvision's."""
    from magkit_vision.segmentation import segmenter

    return segmenter(f"fcn_{config.backbone}", config.classes, weights, device)


def build_lraspp(config: OnlyClasses, weights: Path | None, device: torch.device) -> Target[Any]:
    """Build LR-ASPP with the weights of a file; None: torchvision's."""
    from magkit_vision.segmentation import segmenter

    return segmenter("lraspp_mobilenet_v3_large", config.classes, weights, device)


def build_retinanet(
    config: RetinaNetConfig, weights: Path | None, device: torch.device
) -> Target[Any]:
    """Build RetinaNet with the weights of a file; None: torchvision's."""
    from magkit_vision.detection import detector

    name = {"v1": "retinanet_resnet50_fpn", "v2": "retinanet_resnet50_fpn_v2"}[config.version]
    return detector(name, config.classes, weights, device)


def build_fcos(config: OnlyClasses, weights: Path | None, device: torch.device) -> Target[Any]:
    """Build FCOS with the weights of a file; None: torchvision's."""
    from magkit_vision.detection import detector

    return detector("fcos_resnet50_fpn", config.classes, weights, device)


def build_ssdlite(config: OnlyClasses, weights: Path | None, device: torch.device) -> Target[Any]:
    """Build SSDlite with the weights of a file; None: torchvision's."""
    from magkit_vision.detection import detector

    return detector("ssdlite320_mobilenet_v3_large", config.classes, weights, device)


def build_classifier(
    config: ClassifierConfig | ViTConfig, weights: Path | None, device: torch.device
) -> Target[Any]:
    """Build any of torchvision's classifiers with the weights of a file; None: torchvision's."""
    from magkit_vision.classifiers import classifier

    return classifier(config.model, config.published, config.classes, weights, device)


def build_cifar(depth: int) -> Callable[[NoConfig, Path | None, torch.device], Target[Any]]:
    """Return what builds the ResNet of a depth."""

    def build(_config: NoConfig, weights: Path | None, device: torch.device) -> Target[Any]:
        from magkit_vision.cifar import cifar_resnet

        return cifar_resnet(depth, weights, device)

    return build


DEEPLABV3 = TargetSpec(
    name="deeplabv3",
    summary="torchvision's DeepLabV3: a class for every pixel, of VOC's 20",
    config=DeepLabConfig,
    build=build_deeplab,
    paper="Chen et al.: Rethinking Atrous Convolution, arXiv 1706.05587",
)
FCN = TargetSpec(
    name="fcn",
    summary="torchvision's FCN: a class for every pixel, of VOC's 20",
    config=FCNConfig,
    build=build_fcn,
    paper="Long, Shelhamer, Darrell: Fully Convolutional Networks, CVPR 2015, arXiv 1411.4038",
)
LRASPP = TargetSpec(
    name="lraspp",
    summary="torchvision's LR-ASPP on MobileNetV3: a class for every pixel, of VOC's 20; small",
    config=OnlyClasses,
    build=build_lraspp,
    paper="Howard et al.: Searching for MobileNetV3, ICCV 2019, arXiv 1905.02244",
)
RETINANET = TargetSpec(
    name="retinanet",
    summary="torchvision's RetinaNet R50-FPN: boxes of COCO's classes",
    config=RetinaNetConfig,
    build=build_retinanet,
    paper="Lin et al.: Focal Loss for Dense Object Detection, ICCV 2017, arXiv 1708.02002",
)
FCOS = TargetSpec(
    name="fcos",
    summary="torchvision's FCOS R50-FPN: boxes of COCO's classes, without anchors",
    config=OnlyClasses,
    build=build_fcos,
    paper="Tian et al.: FCOS, ICCV 2019, arXiv 1904.01355",
)
SSDLITE = TargetSpec(
    name="ssdlite",
    summary="torchvision's SSDlite on MobileNetV3: boxes of COCO's classes, at 320 x 320; small",
    config=OnlyClasses,
    build=build_ssdlite,
    paper="Sandler et al.: MobileNetV2, CVPR 2018, arXiv 1801.04381; Howard et al., 1905.02244",
)
CLASSIFIER = TargetSpec(
    name="classifier",
    summary="any of torchvision's classifiers (--opt model=resnet18): a class for the picture",
    config=ClassifierConfig,
    build=build_classifier,
    paper="Yin et al.: Dreaming to Distill, CVPR 2020, arXiv 1912.08795 (classifiers inverted)",
)
VIT = TargetSpec(
    name="vit",
    summary="torchvision's vision transformer: a class; it remembers no statistics (--bn 0)",
    config=ViTConfig,
    build=build_classifier,
    paper="Dosovitskiy et al.: An Image is Worth 16x16 Words, ICLR 2021, arXiv 2010.11929",
)
CIFAR = [
    TargetSpec(
        name=f"cifar-resnet{depth}",
        summary=f"the ResNet of {depth} layers for CIFAR-10's 32 x 32 pictures, from a file",
        config=NoConfig,
        build=build_cifar(depth),
        paper="He et al.: Deep Residual Learning, CVPR 2016, arXiv 1512.03385, section 4.2",
    )
    for depth in DEPTHS
]


@hookimpl
def magkit_targets() -> Iterable[TargetSpec[Any]]:
    """Offer the targets to magkit."""
    return [DEEPLABV3, FCN, LRASPP, RETINANET, FCOS, SSDLITE, CLASSIFIER, VIT, *CIFAR]
