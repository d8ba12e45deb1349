"""A small network of per-pixel classes as a target: the default verifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.mobilenetv2 import InvertedResidual
from torchvision.ops import Conv2dNormActivation

from magkit.errors import MagkitError
from magkit.invert import CLASSES, class_indices
from magkit.invert.affine import resample
from magkit.invert.priors import MEAN, STD
from magkit.invert.statistics import bn_statistics
from magkit.invert.targets.load import class_names, load_weights, read_target
from magkit.invert.targets.segmenter_spec import WEIGHTS, SegmenterConfig
from magkit.protocols import Annotation, Statistic

STEM = 16
WIDTHS = (24, 40, 80, 128)  # channels at strides of 4, 8, 16 and 32
BLOCKS = (2, 2, 3, 3)
EXPANSION = 4
DECODER = 64


class Segmenter(nn.Module):
    """Gives every pixel a class: 0.9 M parameters, nothing in common with a detector.

    Args:
        classes: their number, the background (first) among them.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = Conv2dNormActivation(3, STEM, 3, 2, activation_layer=nn.ReLU6)
        inputs = (STEM, *WIDTHS)
        self.stages = nn.ModuleList(
            _stage(before, width, blocks)
            for before, width, blocks in zip(inputs[:-1], WIDTHS, BLOCKS, strict=True)
        )
        self.laterals = nn.ModuleList(nn.Conv2d(width, DECODER, 1) for width in WIDTHS)
        self.merges = nn.ModuleList(Conv2dNormActivation(DECODER, DECODER, 3) for _ in WIDTHS[:-1])
        self.classify = nn.Conv2d(DECODER, classes, 1)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return logits (N, classes, H / 4, W / 4) of normalised pictures."""
        x, maps = self.stem(images_NCHW), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        *finer, coarsest = (lateral(m) for lateral, m in zip(self.laterals, maps, strict=True))
        merged = coarsest
        for merge, skip in zip(self.merges, reversed(finer), strict=True):
            larger = F.interpolate(merged, skip.shape[2:], mode="bilinear", align_corners=False)
            merged = merge(larger + skip)
        logits: Tensor = self.classify(merged)
        return logits


def _stage(inputs: int, width: int, blocks: int) -> nn.Sequential:
    first = InvertedResidual(inputs, width, 2, EXPANSION)
    rest = (InvertedResidual(width, width, 1, EXPANSION) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)


NAME = "segmenter"
SMALLEST = 0.001  # of a picture's pixels: what is smaller is no object


@dataclass(frozen=True, slots=True)
class PixelLabels:
    """Masks of one class each.

    Attributes:
        masks_NKHW: floats, 0 or 1; K is the greatest number of objects in a picture.
        classes_NK: numbers of the model's classes; -1: any but the background; 0: no object.
    """

    masks_NKHW: Tensor
    classes_NK: Tensor

    def moved(self, source_from_output_N23: Tensor, size: tuple[int, int], /) -> PixelLabels:
        """Return the labels of pictures that were resampled; see `protocols.Labels`."""
        masks = resample(self.masks_NKHW, source_from_output_N23, size, padding="zeros")
        return PixelLabels((masks >= 0.5).to(masks), self.classes_NK)


class SegmenterTarget:
    """See `protocols.Target`.

    Args:
        model: pictures, normalised, to logits of classes at any smaller size.
        names: of its classes by number, the background first.
        device: where it goes.
    """

    stride = 1

    def __init__(self, model: nn.Module, names: Sequence[str], device: torch.device) -> None:
        self._names = tuple(names)
        self.model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model.eval().requires_grad_(False)
        self._mean, self._std = (torch.tensor(v, device=device)[:, None, None] for v in (MEAN, STD))

    @property
    def classes(self) -> Sequence[str]:
        """The names of the classes that can be asked for."""
        return self._names[1:]

    def labels(self, annotations: Sequence[Sequence[Annotation]], /) -> PixelLabels:
        """Return the masks of what is asked for.

        Raises:
            MagkitError: a class is unknown, a mask is missing, or there is no object at all.
        """
        most = max(map(len, annotations), default=0)
        flat = [each for picture in annotations for each in picture]
        if not most or any(each.mask_HW is None for each in flat):
            raise MagkitError(
                "a network that gives every pixel a class needs the mask of an object"
            )
        first = flat[0].mask_HW
        assert first is not None
        masks = torch.zeros(len(annotations), most, *first.shape, device=self._mean.device)
        classes = torch.zeros(len(annotations), most, dtype=torch.int64, device=self._mean.device)
        for n, picture in enumerate(annotations):
            for k, each in enumerate(picture):
                assert each.mask_HW is not None
                masks[n, k] = each.mask_HW
            numbers = class_indices([each.label for each in picture], self._names)
            classes[n, : len(numbers)] = torch.tensor(numbers, device=self._mean.device)
        return PixelLabels(masks, classes)

    def losses(self, images_NCHW: Tensor, labels: PixelLabels, /) -> dict[str, Tensor]:
        """Return "mask": the mean cross-entropy of each object and of the rest, averaged."""
        shares = self._logits(images_NCHW).log_softmax(1)
        terms, free = [], 1 - labels.masks_NKHW.amax(1)
        for n, picture in enumerate(shares):
            terms.append(_mean(-picture[0], free[n]))
            for mask, number in zip(labels.masks_NKHW[n], labels.classes_NK[n], strict=True):
                if number:
                    seen = picture[1:].logsumexp(0) if number < 0 else picture[int(number)]
                    terms.append(_mean(-seen, mask))
        return {"mask": torch.stack(terms).mean()}

    def statistics(self) -> Sequence[Statistic]:
        """Return the running statistics of the BatchNorm layers."""
        return bn_statistics(self.model)

    @torch.no_grad()
    def predict(self, images_NCHW: Tensor, /) -> list[list[Annotation]]:
        """Return a mask for each class that is seen; its score is the mean share in the mask."""
        return [self._annotations(shares) for shares in self._logits(images_NCHW).softmax(1)]

    def _annotations(self, shares_CHW: Tensor) -> list[Annotation]:
        best, found = shares_CHW.argmax(0), []
        for number in range(1, len(shares_CHW)):
            inside = best == number
            if inside.float().mean() >= SMALLEST:
                score = float(shares_CHW[number][inside].mean())
                found.append(Annotation(self._names[number], inside.float(), score))
        return sorted(found, key=lambda each: -each.score)

    def _logits(self, images_NCHW: Tensor) -> Tensor:
        images = ((images_NCHW - self._mean) / self._std).contiguous(
            memory_format=torch.channels_last
        )
        size = images_NCHW.shape[2:]
        return F.interpolate(self.model(images), size, mode="bilinear", align_corners=False)


def _mean(values_HW: Tensor, mask_HW: Tensor) -> Tensor:
    return (values_HW * mask_HW).sum() / mask_HW.sum().clamp(min=1)


def build(_config: SegmenterConfig, weights: Path | None, device: torch.device) -> SegmenterTarget:
    """Build the segmenter with the weights of a file; None: those that ship."""
    return load_segmenter(NAME, Segmenter, weights or WEIGHTS, device)


def load_segmenter(
    name: str, network: Callable[[int], nn.Module], path: Path, device: torch.device
) -> SegmenterTarget:
    """Build a network of per-pixel classes with the weights of a file.

    Args:
        name: of the target.
        network: builds it for a number of classes, the background among them.
        path: of the weights.
        device: where it goes.

    Raises:
        MagkitError: the weights can't be read, or are another network's.
    """
    found = read_target(path, name)
    names = ["background", *class_names(found, path, CLASSES)]
    model = network(len(names))
    load_weights(model, found.tensors, path, name)
    return SegmenterTarget(model, names, device)
