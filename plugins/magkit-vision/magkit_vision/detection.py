"""Networks that put boxes around things: RetinaNet, FCOS and SSDlite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSD

from magkit import Annotation, Statistic
from magkit.toolkit import bn_statistics, download_weights, read_weights
from magkit_vision.boxes import AsShown, boxes_of, filled, likeliest
from magkit_vision.files import fill
from magkit_vision.labels import ANY, MaskLabels, mask_labels
from magkit_vision.looking import Look

BACKGROUND = "__background__"
# What torchvision calls its losses, and what they are called here.
TERMS = {"classification": "class", "bbox_regression": "box", "bbox_ctrness": "centre"}


class DetectionTarget:
    """See `magkit.Target`.

    Args:
        model: one of torchvision's detectors of one stage.
        names: of its classes by number, the background first.
        device: where it goes.
        exact: the only height and width that it takes; None: any.
    """

    stride = 1

    def __init__(
        self,
        model: Any,
        names: Sequence[str],
        device: torch.device,
        exact: tuple[int, int] | None = None,
    ) -> None:
        self._names, self._device = tuple(names), device
        self.model: Any = model.to(device).eval().requires_grad_(False)
        look = Look(tuple(model.transform.image_mean), tuple(model.transform.image_std), exact)
        # torchvision would resize to 800 pixels; pictures are seen as large as they are made.
        self.model.transform = AsShown(look).eval()
        for part in (self.model.backbone, self.model.head):
            part.register_forward_hook(_in_single_precision)

    @property
    def classes(self) -> Sequence[str]:
        """The names of the classes that can be asked for."""
        return [name for name in self._names[1:] if name != "N/A"]

    def labels(self, annotations: Sequence[Sequence[Annotation]], /) -> MaskLabels:
        """Return the masks of what is asked for, which boxes are drawn around.

        Raises:
            MagkitError: nothing is asked for, a mask is missing, or a class is unknown.
        """
        return mask_labels(annotations, self._names, self._device)

    def losses(self, images_NCHW: Tensor, labels: MaskLabels, /) -> dict[str, Tensor]:
        """Return the terms that the network was trained with, for the boxes of the masks.

        class: of all anchors' classes; box: of the corrections of anchors on things; centre, of
        FCOS: of how near to a thing's middle a place is.
        """
        asked = boxes_of(labels)
        if any((each["labels"] == ANY).any() for each in asked):
            scores, anchors = self._anchors_scores(images_NCHW)
            asked = [
                likeliest(*each, self._unnamed())
                for each in zip(asked, scores, anchors, strict=True)
            ]
        # The outermost module alone is told that it trains: it then returns its losses, while
        # its layers stay in eval mode and move no buffer.
        self.model.training = True
        try:
            found = self.model(images_NCHW, asked)
        finally:
            self.model.training = False
        return {TERMS[name]: loss for name, loss in found.items()}

    def statistics(self) -> Sequence[Statistic]:
        """The layers that remember statistics; all of them see whole pictures."""
        return bn_statistics(self.model)

    @torch.no_grad()
    def predict(self, images_NCHW: Tensor, /) -> list[list[Annotation]]:
        """Return what full detection finds; the mask of a box is the box, filled."""
        size = (images_NCHW.shape[2], images_NCHW.shape[3])
        return [self._annotations(each, size) for each in self.model(images_NCHW)]

    def _annotations(self, found: Mapping[str, Tensor], size: tuple[int, int]) -> list[Annotation]:
        unnamed = self._unnamed()
        return [
            Annotation(self._names[label], filled(box, size), score)
            for box, label, score in zip(
                found["boxes"], found["labels"].tolist(), found["scores"].tolist(), strict=True
            )
            if label not in unnamed
        ]

    def _unnamed(self) -> list[int]:
        return [n for n, name in enumerate(self._names) if n == 0 or name == "N/A"]

    @torch.no_grad()
    def _anchors_scores(self, images_NCHW: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return scores (N, A, classes), and anchors (A, 4) of each picture in its own pixels."""
        shown, _ = self.model.transform(images_NCHW, None)
        maps = list(self.model.backbone(shown.tensors).values())
        anchors = self.model.anchor_generator(ImageList(shown.tensors, shown.image_sizes), maps)
        back = self.model.transform.scale((images_NCHW.shape[2], images_NCHW.shape[3]))
        logits: Tensor = self.model.head(maps)["cls_logits"]
        scores = logits.softmax(2) if isinstance(self.model, SSD) else logits.sigmoid()
        return scores, [each / each.new_tensor(back) for each in anchors]


def _in_single_precision(
    _module: nn.Module, _inputs: object, outputs: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Anchors and boxes get the precision of maps: pixels need more than the 8 bits of bf16."""
    return {name: each.float() for name, each in outputs.items()}


def detector(
    name: str, classes: Sequence[str], path: Path | None, device: torch.device
) -> DetectionTarget:
    """Build one of torchvision's detectors with the weights of a file; None: the published ones.

    Raises:
        MagkitError: they are nowhere, can't be read, or are another network's.
    """
    weights = models.get_model_weights(name).DEFAULT
    source = path or download_weights(weights.url, name)
    names = [BACKGROUND, *classes] if classes else weights.meta["categories"]
    model = models.get_model(name, weights=None, weights_backbone=None, num_classes=len(names))
    fill(model, read_weights(source).tensors, source, name)
    if name == "retinanet_resnet50_fpn":
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.0  # as these weights were trained: torchvision's loader does so
    exact = (320, 320) if name.startswith("ssdlite320") else None
    return DetectionTarget(model, names, device, exact)
