"""torchvision's two Mask R-CNNs on ResNet-50, with COCO's weights from where they may lie."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.error import URLError

import torch
from torchvision.models.detection import (
    MaskRCNN,
    MaskRCNN_ResNet50_FPN_V2_Weights,
    MaskRCNN_ResNet50_FPN_Weights,
    maskrcnn_resnet50_fpn_v2,
)
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

from magkit.errors import MagkitError
from magkit.invert.targets.files import fill, read_target
from magkit.invert.targets.maskrcnn.spec import MaskRCNNConfig
from magkit.invert.targets.maskrcnn.target import MaskRCNNTarget
from magkit.progress import shows_progress

_WEIGHTS = {
    "maskrcnn": MaskRCNN_ResNet50_FPN_Weights.COCO_V1,
    "maskrcnn-v2": MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1,
}
# The first one's weights are older than the names that its layers have today.
_RENAMED = {
    r"(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(\w+)": r"\1.0.\2",
    r"rpn\.head\.conv\.(weight|bias)": r"rpn.head.conv.0.0.\1",
    **{
        rf"roi_heads\.mask_head\.mask_fcn{n + 1}\.(\w+)": rf"roi_heads.mask_head.{n}.0.\1"
        for n in range(4)
    },
}


def published(
    name: str, config: MaskRCNNConfig, path: Path | None, device: torch.device
) -> MaskRCNNTarget:
    """Build one of the two with the weights of a file; None: the cache's, or downloaded ones.

    Raises:
        MagkitError: they are nowhere, can't be read, or are another network's.
    """
    source = path or cached(name)
    found = read_target(source, name)
    names = ["background", *_WEIGHTS[name].meta["categories"][1:]]
    model = build(name, len(names))
    fill(model, {_today(key): v for key, v in found.tensors.items()}, source, name)
    return MaskRCNNTarget(model, names, config, device)


def _today(key: str) -> str:
    for old, new in _RENAMED.items():
        if found := re.fullmatch(old, key):
            return found.expand(new)
    return key


def build(name: str, classes: int) -> MaskRCNN:
    """Build one of the two with random weights, laid out as the published ones are."""
    if name == "maskrcnn-v2":
        model: MaskRCNN = maskrcnn_resnet50_fpn_v2(
            weights=None, weights_backbone=None, num_classes=classes
        )
        return model
    backbone = resnet_fpn_backbone(
        backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm2d, trainable_layers=5
    )
    for module in backbone.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.eps = 0.0  # as these weights were trained (torchvision's own loader does so)
    return MaskRCNN(backbone, classes)


def cached(name: str) -> Path:
    """Return the file of the published weights in torch's cache, downloaded if need be.

    Raises:
        MagkitError: it is not there and can't be downloaded.
    """
    url = _WEIGHTS[name].url
    path: Path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if not path.is_file():
        if shows_progress():
            sys.stderr.write(f"downloading {url} to {path}\n")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            prefix = path.stem.rpartition("-")[2]  # of the file's hash, which its name tells
            torch.hub.download_url_to_file(url, str(path), prefix, progress=shows_progress())
        except (URLError, OSError, RuntimeError) as error:
            raise MagkitError(
                f"the weights of '{name}' are not in {path.parent}, nor to be downloaded: {error}",
                f"--weights FILE, or put {path.name} there; maskrcnn-small needs no download",
            ) from error
    return path
