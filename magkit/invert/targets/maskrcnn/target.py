"""Any torchvision Mask R-CNN as a target: its parts are called one by one, in eval mode.

torchvision's own resizing is passed by, so that gradients reach the picture's own pixels; its
losses, which sample at random and move buffers in training mode, are written out here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.ops import roi_align

from magkit.errors import MagkitError
from magkit.invert.classes import class_numbers
from magkit.invert.statistics import remembered
from magkit.invert.targets.maskrcnn.labels import DetectionLabels, labelled
from magkit.invert.targets.maskrcnn.regions import Regions, box_loss, proposal_losses, regions_of
from magkit.invert.targets.maskrcnn.spec import MaskRCNNConfig
from magkit.protocols import Annotation, Statistic

HEADS = ("roi_heads",)  # what sees regions, not pictures


class MaskRCNNTarget:
    """See `protocols.Target`.

    Args:
        model: the network, with its weights.
        names: of its classes by number, the background first.
        config: which regions the losses look at.
        device: where it goes.
    """

    stride = 1

    def __init__(
        self, model: MaskRCNN, names: Sequence[str], config: MaskRCNNConfig, device: torch.device
    ) -> None:
        self.config, self._names = config, tuple(names)
        self.model: Any = model.to(device, memory_format=torch.channels_last)
        self.model.eval().requires_grad_(False)
        self._mean, self._std = (
            torch.tensor(v, device=device)[:, None, None]
            for v in (self.model.transform.image_mean, self.model.transform.image_std)
        )

    @property
    def classes(self) -> Sequence[str]:
        """The names of the classes that can be asked for."""
        return [name for name in self._names[1:] if name != "N/A"]

    def labels(self, annotations: Sequence[Sequence[Annotation]], /) -> DetectionLabels:
        """Return masks, boxes and numbers of classes of what is asked for.

        Raises:
            MagkitError: a class is unknown, a mask is missing, or there is no object at all.
        """
        flat = [(n, each) for n, picture in enumerate(annotations) for each in picture]
        masks = [each.mask_HW for _, each in flat if each.mask_HW is not None]
        if len(masks) < len(flat) or not flat:
            raise MagkitError("a detector needs the mask of an object")
        numbers = class_numbers([each.label for _, each in flat], self._names)
        found = labelled(
            torch.stack(masks).to(self._mean),
            torch.tensor(numbers, device=self._mean.device),
            torch.tensor([n for n, _ in flat], device=self._mean.device),
            len(annotations),
        )
        if not len(found.boxes_K4):
            raise MagkitError("the masks are empty, or too small for a detector")
        return found

    def losses(self, images_NCHW: Tensor, labels: DetectionLabels, /) -> dict[str, Tensor]:
        """Return "mask" and "class", and the terms that the configuration adds.

        mask: mean binary cross-entropy, at the regions, of the mask head's logits of the class that
        is asked for with the mask cropped to the region. class: mean cross-entropy of the box
        head.
        """
        maps, size = self._features(images_NCHW), (images_NCHW.shape[2], images_NCHW.shape[3])
        sizes, terms = [size] * len(images_NCHW), dict[str, Tensor]()
        listed = ImageList(images_NCHW, sizes)
        regions = regions_of(self.model, maps, listed, labels, self.config.rois)
        scores, shifts = self._judged(maps, regions, sizes)
        classes = regions.classes_R
        likeliest = scores[:, 1:].argmax(1) + 1
        classes = torch.where(classes < 0, likeliest, classes)
        terms["mask"] = self._mask_loss(maps, regions, classes, labels, sizes)
        terms["class"] = F.cross_entropy(scores, classes) if len(scores) else scores.sum() * 0
        if self.config.boxes:
            terms["box"] = box_loss(self.model, shifts, regions, classes, labels)
        if self.config.proposals:
            terms.update(proposal_losses(self.model, maps, listed, labels))
        return terms

    def statistics(self) -> Sequence[Statistic]:
        """The layers that remember statistics; those of the heads see regions."""
        return remembered(self.model, HEADS)

    @torch.no_grad()
    def predict(self, images_NCHW: Tensor, /) -> list[list[Annotation]]:
        """Return what full detection finds, without being told any box."""
        maps, size = self._features(images_NCHW), (images_NCHW.shape[2], images_NCHW.shape[3])
        listed = ImageList(images_NCHW, [size] * len(images_NCHW))
        proposals, _ = self.model.rpn(listed, maps, None)
        found, _ = self.model.roi_heads(maps, proposals, listed.image_sizes, None)
        return [self._annotations(each, size) for each in found]

    def _annotations(self, found: Mapping[str, Tensor], size: tuple[int, int]) -> list[Annotation]:
        masks = paste_masks_in_image(found["masks"], found["boxes"], size)[:, 0]
        rows = zip(found["labels"].tolist(), masks, found["scores"].tolist(), strict=True)
        return [Annotation(self._names[label], mask, score) for label, mask, score in rows]

    def _features(self, images_NCHW: Tensor) -> Mapping[str, Tensor]:
        images = (images_NCHW - self._mean) / self._std
        maps = self.model.backbone(images.contiguous(memory_format=torch.channels_last))
        # Anchors and boxes get the maps' precision: pixels need more than the 8 bits of bf16.
        return {name: each.to(images.dtype) for name, each in maps.items()}

    def _judged(self, maps: Any, regions: Regions, sizes: Any) -> tuple[Tensor, Tensor]:
        heads = self.model.roi_heads
        pooled = heads.box_roi_pool(maps, regions.by_picture(), sizes)
        scores, shifts = heads.box_predictor(heads.box_head(pooled))
        return scores, shifts

    def _mask_loss(
        self, maps: Any, regions: Regions, classes: Tensor, labels: DetectionLabels, sizes: Any
    ) -> Tensor:
        heads, within = self.model.roi_heads, regions.only(classes > 0)
        pooled = heads.mask_roi_pool(maps, within.by_picture(), sizes)
        logits: Tensor = heads.mask_predictor(heads.mask_head(pooled))
        if not len(logits):  # jitter may have moved the object out of the picture
            return logits.sum() * 0
        chosen = logits[torch.arange(len(logits)), classes[classes > 0]]
        rois = torch.cat([within.objects_R[:, None].to(within.boxes_R4), within.boxes_R4], 1)
        side = logits.shape[-1]
        truth = roi_align(labels.masks_KHW[:, None], rois, (side, side), 1.0)[:, 0]
        loss: Tensor = F.binary_cross_entropy_with_logits(chosen.to(truth), truth)
        return loss
