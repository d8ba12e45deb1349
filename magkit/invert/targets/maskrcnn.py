"""Any torchvision Mask R-CNN as a target: its parts are called one by one, in eval mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import box_iou, roi_align

from magkit.errors import MagkitError
from magkit.invert import class_indices
from magkit.invert.affine import resample
from magkit.invert.statistics import bn_statistics
from magkit.invert.targets.maskrcnn_spec import MaskRCNNConfig
from magkit.protocols import Annotation, Statistic

MIN_BOX_SIDE = 2.0  # pixels: a box with a shorter side is no longer asked for


@dataclass(frozen=True, slots=True)
class DetectionLabels:
    """Objects of all pictures, one after the other.

    Attributes:
        masks_KHW: floats, 0 or 1.
        boxes_K4: left, top, right, bottom of the masks, in pixels.
        classes_K: numbers of the model's classes; -1: whichever it thinks likeliest.
        pictures_K: which picture of the batch each object belongs to.
        count: how many pictures there are.
    """

    masks_KHW: Tensor
    boxes_K4: Tensor
    classes_K: Tensor
    pictures_K: Tensor
    count: int

    def moved(self, source_from_output_N23: Tensor, size: tuple[int, int], /) -> DetectionLabels:
        """Return the labels of pictures that were resampled; see `protocols.Labels`."""
        maps = source_from_output_N23.to(self.pictures_K.device)[self.pictures_K]
        if not len(maps):
            masks = self.masks_KHW.new_zeros(0, *size)
        else:
            masks = resample(self.masks_KHW[:, None], maps, size, padding="zeros")[:, 0]
            masks = (masks >= 0.5).to(self.masks_KHW)
        return make_labels(masks, self.classes_K, self.pictures_K, self.count)


def make_labels(
    masks_KHW: Tensor, classes_K: Tensor, pictures_K: Tensor, count: int
) -> DetectionLabels:
    """Return labels with the boxes of the masks, without those too small to be seen."""
    boxes = torch.stack([mask_box(mask) for mask in masks_KHW]) if len(masks_KHW) else None
    if boxes is None:
        empty = masks_KHW.new_zeros(0, 4)
        return DetectionLabels(masks_KHW, empty, classes_K[:0], pictures_K[:0], count)
    kept = (boxes[:, 2:] - boxes[:, :2]).amin(1) >= MIN_BOX_SIDE
    return DetectionLabels(masks_KHW[kept], boxes[kept], classes_K[kept], pictures_K[kept], count)


def mask_box(mask_HW: Tensor) -> Tensor:
    """Return the edges (4,) of a mask's pixels: left, top, right, bottom; zeros of an empty one."""
    rows, columns = mask_HW.amax(1).nonzero()[:, 0], mask_HW.amax(0).nonzero()[:, 0]
    if not len(rows):
        return mask_HW.new_zeros(4)
    return torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).to(mask_HW)


MAX_PROPOSALS = 64  # proposals of a picture that are judged beside the true boxes
MIN_IOU = 0.5  # above which a proposal shows an object


@dataclass(frozen=True, slots=True)
class Regions:
    """Boxes of all pictures, sorted by picture.

    Attributes:
        boxes_R4: left, top, right, bottom.
        pictures_R: which picture each lies in.
        objects_R: which object of the labels it overlaps most.
        classes_R: what it is to be taken for: 0 background, -1 whichever the model prefers.
        count: how many pictures there are.
    """

    boxes_R4: Tensor
    pictures_R: Tensor
    objects_R: Tensor
    classes_R: Tensor
    count: int

    def by_picture(self) -> list[Tensor]:
        """Return the boxes of each picture."""
        return [self.boxes_R4[self.pictures_R == n] for n in range(self.count)]

    def only(self, kept_R: Tensor) -> Regions:
        """Return some of the regions."""
        return Regions(
            self.boxes_R4[kept_R],
            self.pictures_R[kept_R],
            self.objects_R[kept_R],
            self.classes_R[kept_R],
            self.count,
        )


def select_regions(
    model: Any, maps: Any, listed: ImageList, labels: DetectionLabels, rois: str
) -> Regions:
    """Return the true boxes, and with rois="sampled" the surest proposals of each picture too."""
    objects = torch.arange(len(labels.boxes_K4), device=labels.boxes_K4.device)
    true = Regions(labels.boxes_K4, labels.pictures_K, objects, labels.classes_K, labels.count)
    if rois == "true":
        return _sorted(true)
    with torch.no_grad():
        proposals, _ = model.rpn(listed, maps, None)
    parts = [true, *(_matched(p[:MAX_PROPOSALS], n, labels) for n, p in enumerate(proposals))]
    return _sorted(
        Regions(
            torch.cat([part.boxes_R4 for part in parts]),
            torch.cat([part.pictures_R for part in parts]),
            torch.cat([part.objects_R for part in parts]),
            torch.cat([part.classes_R for part in parts]),
            labels.count,
        )
    )


def _sorted(regions: Regions) -> Regions:
    return regions.only(regions.pictures_R.argsort(stable=True))


def _matched(boxes_P4: Tensor, picture: int, labels: DetectionLabels) -> Regions:
    """Say of each proposal in a picture which object it shows, if any."""
    overlaps = box_iou(labels.boxes_K4, boxes_P4) if len(labels.boxes_K4) else None
    pictures = torch.full((len(boxes_P4),), picture, device=boxes_P4.device)
    if overlaps is None:
        return Regions(boxes_P4, pictures, pictures * 0, pictures * 0, labels.count)
    overlaps = overlaps.masked_fill((labels.pictures_K != picture)[:, None], -1.0)
    best, objects = overlaps.max(0)
    classes = torch.where(best >= MIN_IOU, labels.classes_K[objects], 0)
    return Regions(boxes_P4, pictures, objects, classes, labels.count)


def box_loss(
    model: Any, shifts: Tensor, regions: Regions, classes_R: Tensor, labels: DetectionLabels
) -> Tensor:
    """Return the smooth L1 distance of the box head's corrections from the right ones.

    Only regions that show an object are looked at.
    """
    on = classes_R > 0
    if not on.any():
        return shifts.sum() * 0
    chosen = shifts.reshape(len(shifts), -1, 4)[torch.arange(len(shifts)), classes_R][on]
    true = labels.boxes_K4[regions.objects_R[on]]
    right = model.roi_heads.box_coder.encode_single(true, regions.boxes_R4[on])
    return F.smooth_l1_loss(chosen, right, beta=1 / 9)


def proposal_losses(
    model: Any, maps: Any, listed: ImageList, labels: DetectionLabels
) -> dict[str, Tensor]:
    """Return "objectness" and "proposal": of the anchors, and of their corrections on objects."""
    rpn, features = model.rpn, list(maps.values())
    logits, deltas = rpn.head(features)
    anchors = rpn.anchor_generator(listed, features)
    flat, corrections = concat_box_prediction_layers(logits, deltas)
    boxes = [labels.boxes_K4[labels.pictures_K == n] for n in range(labels.count)]
    kinds, matched = rpn.assign_targets_to_anchors(anchors, [{"boxes": b} for b in boxes])
    kinds_A, truth = torch.cat(kinds), torch.cat(rpn.box_coder.encode(matched, anchors))
    on, off = kinds_A == 1, kinds_A == 0
    entropy = F.binary_cross_entropy_with_logits(flat[:, 0], kinds_A.clamp(min=0), reduction="none")
    halves = [entropy[part].mean() for part in (on, off) if part.any()]
    error = F.smooth_l1_loss(corrections[on], truth[on], beta=1 / 9) if on.any() else flat.sum() * 0
    return {"objectness": torch.stack(halves).mean(), "proposal": error}


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
        numbers = class_indices([each.label for _, each in flat], self._names)
        found = make_labels(
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
        regions = select_regions(self.model, maps, listed, labels, self.config.rois)
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
        return bn_statistics(self.model, HEADS)

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
