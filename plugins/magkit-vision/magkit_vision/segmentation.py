"""Networks that give every pixel a class: DeepLabV3, FCN and LR-ASPP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

from magkit import Annotation, Statistic
from magkit.toolkit import bn_statistics, download_weights, read_weights
from magkit_vision.files import fill
from magkit_vision.labels import ANY, MaskLabels, mask_labels
from magkit_vision.looking import Look

SMALLEST = 0.001  # of a picture's pixels: what is smaller is no object
BACKGROUND = "__background__"
POOLED = "classifier.0.convs.4."  # DeepLab's branch of the mean: one value has no variance


class SegmentationTarget:
    """See `magkit.Target`.

    Args:
        model: pictures to a dictionary with "out": logits (N, classes, H, W).
        names: of its classes by number, the background first.
        device: where it goes.
    """

    stride = 1

    def __init__(self, model: nn.Module, names: Sequence[str], device: torch.device) -> None:
        self._names, self._look, self._device = tuple(names), Look(), device
        self.model = model.to(device).eval().requires_grad_(False)

    @property
    def classes(self) -> Sequence[str]:
        """The names of the classes that can be asked for."""
        return self._names[1:]

    def labels(self, annotations: Sequence[Sequence[Annotation]], /) -> MaskLabels:
        """Return the masks of what is asked for.

        Raises:
            MagkitError: nothing is asked for, a mask is missing, or a class is unknown.
        """
        return mask_labels(annotations, self._names, self._device)

    def losses(self, images_NCHW: Tensor, labels: MaskLabels, /) -> dict[str, Tensor]:
        """Return "mask": the cross-entropy of pixels.

        It is the mean over things of the mean over a thing's pixels: small ones count as much as
        large ones, and what is left of a picture, the background, as much as a thing.
        """
        shares = self._logits(images_NCHW).log_softmax(1)
        free_NHW = 1 - labels.masks_NKHW.amax(1)
        terms = []
        for n, picture in enumerate(shares):
            terms.append(_mean(-picture[0], free_NHW[n]))
            for mask, number in zip(
                labels.masks_NKHW[n], labels.numbers_NK[n].tolist(), strict=True
            ):
                if number:
                    seen = picture[1:].logsumexp(0) if number == ANY else picture[number]
                    terms.append(_mean(-seen, mask))
        return {"mask": torch.stack(terms).mean()}

    def statistics(self) -> Sequence[Statistic]:
        """The running statistics of the BatchNorm layers that see more than one value a channel."""
        return [s for s in bn_statistics(self.model) if not s.name.startswith(POOLED)]

    @torch.no_grad()
    def predict(self, images_NCHW: Tensor, /) -> list[list[Annotation]]:
        """Return a mask for each class that is seen; its score is the mean share in the mask."""
        return [self._seen(shares) for shares in self._logits(images_NCHW).softmax(1)]

    def _seen(self, shares_CHW: Tensor) -> list[Annotation]:
        best, found = shares_CHW.argmax(0), []
        for number in range(1, len(shares_CHW)):
            mask = (best == number).float()
            if mask.mean() >= SMALLEST:
                score = float(_mean(shares_CHW[number], mask))
                found.append(Annotation(self._names[number], mask, min(score, 1.0)))
        return sorted(found, key=lambda each: -each.score)

    def _logits(self, images_NCHW: Tensor) -> Tensor:
        logits: Tensor = self.model(self._look(images_NCHW))["out"]
        return logits.float()


def _mean(values_HW: Tensor, mask_HW: Tensor) -> Tensor:
    return (values_HW * mask_HW).sum() / mask_HW.sum().clamp(min=1)


def segmenter(
    name: str, classes: Sequence[str], path: Path | None, device: torch.device
) -> SegmentationTarget:
    """Build one of torchvision's networks with the weights of a file; None: the published ones.

    Raises:
        MagkitError: they are nowhere, can't be read, or are another network's.
    """
    weights = models.get_model_weights(name).DEFAULT
    source = path or download_weights(weights.url, name)
    names = [BACKGROUND, *classes] if classes else weights.meta["categories"]
    tensors = read_weights(source).tensors
    options: dict[str, Any] = {"num_classes": len(names), "weights_backbone": None}
    if any(key.startswith("aux_classifier.") for key in tensors):
        options["aux_loss"] = True
    model: Any = models.get_model(name, weights=None, **options)
    fill(model, tensors, source, name)
    if hasattr(model, "aux_classifier"):
        model.aux_classifier = None  # it helps in training alone
    return SegmentationTarget(model, names, device)
