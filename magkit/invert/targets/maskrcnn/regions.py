"""The regions that Mask R-CNN's heads judge, and the losses of what proposes them.

Without random sampling: the surest proposals are taken, and all anchors count, the ones on an
object as much in sum as the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import box_iou

from magkit.invert.targets.maskrcnn.labels import DetectionLabels

MOST = 64  # proposals of a picture that are judged beside the true boxes
OVERLAP = 0.5  # above which a proposal shows an object


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


def regions_of(
    model: Any, maps: Any, listed: ImageList, labels: DetectionLabels, rois: str
) -> Regions:
    """Return the true boxes, and with rois="sampled" the surest proposals of each picture too."""
    objects = torch.arange(len(labels.boxes_K4), device=labels.boxes_K4.device)
    true = Regions(labels.boxes_K4, labels.pictures_K, objects, labels.classes_K, labels.count)
    if rois == "true":
        return _sorted(true)
    with torch.no_grad():
        proposals, _ = model.rpn(listed, maps, None)
    parts = [true, *(_matched(p[:MOST], n, labels) for n, p in enumerate(proposals))]
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
    classes = torch.where(best >= OVERLAP, labels.classes_K[objects], 0)
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
