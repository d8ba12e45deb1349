"""Networks that give a whole picture a class: any of torchvision's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

from magkit import Annotation, Statistic, UsageError
from magkit.toolkit import bn_statistics, download_weights, read_weights
from magkit_vision.files import fill
from magkit_vision.labels import ANY, ClassLabels, class_labels
from magkit_vision.looking import Look

MOST = 10  # classes that a prediction names
# Not the defaults of builders, but what the published weights were made with.
_AS_PUBLISHED = {"transform_input": True, "aux_logits": True, "init_weights": False}
_PORTED = ("googlenet", "inception_v3")  # from another framework, which shows pictures otherwise
_ONE_SIZE = ("vit", "maxvit")  # families that take pictures of one size alone


class ClassifierTarget:
    """See `magkit.Target`.

    Args:
        model: pictures to logits (N, classes).
        names: of its classes by number.
        look: how it is shown pictures.
        size: height and width of those that it was trained on.
        device: where it goes.
    """

    stride = 1

    def __init__(
        self,
        model: nn.Module,
        names: Sequence[str],
        look: Look,
        size: tuple[int, int],
        device: torch.device,
    ) -> None:
        self._names, self._look, self.size = tuple(names), look, size
        self.model = model.to(device).eval().requires_grad_(False)

    @property
    def classes(self) -> Sequence[str]:
        """The names of the classes that can be asked for."""
        return self._names

    def labels(self, annotations: Sequence[Sequence[Annotation]], /) -> ClassLabels:
        """Return the classes of what is asked for; where it is makes no difference.

        Raises:
            MagkitError: nothing is asked for in a picture, or a class is unknown.
        """
        return class_labels(annotations, self._names, first=0)

    def losses(self, images_NCHW: Tensor, labels: ClassLabels, /) -> dict[str, Tensor]:
        """Return "class": the mean cross-entropy of what is asked for."""
        shares = self._logits(images_NCHW).log_softmax(1)
        terms = [
            -(picture.max() if number == ANY else picture[number])
            for picture, numbers in zip(shares, labels.numbers, strict=True)
            for number in numbers
        ]
        return {"class": torch.stack(terms).mean()}

    def statistics(self) -> Sequence[Statistic]:
        """The layers that remember statistics; a transformer has none."""
        return bn_statistics(self.model)

    @torch.no_grad()
    def predict(self, images_NCHW: Tensor, /) -> list[list[Annotation]]:
        """Return the likeliest classes of each picture, with their shares."""
        shares, numbers = self._logits(images_NCHW).softmax(1).topk(min(MOST, len(self._names)))
        return [
            [Annotation(self._names[n], None, score) for score, n in zip(*row, strict=True)]
            for row in zip(shares.tolist(), numbers.tolist(), strict=True)
        ]

    def _logits(self, images_NCHW: Tensor) -> Tensor:
        logits: Tensor = self.model(self._look(images_NCHW))
        return logits.float()


def classifier(
    name: str, published: str, classes: Sequence[str], path: Path | None, device: torch.device
) -> ClassifierTarget:
    """Build one of torchvision's classifiers with the weights of a file; None: the published ones.

    Raises:
        UsageError: torchvision has no such classifier, or no such weights of it.
        MagkitError: the weights are nowhere, can't be read, or are another network's.
    """
    weights = _weights(name, published)
    source = path or download_weights(weights.url, name)
    names = list(classes) or weights.meta["categories"]
    options: dict[str, Any] = dict(_AS_PUBLISHED if name in _PORTED else {})
    crop, least = weights.transforms().crop_size[0], min(weights.meta["min_size"])
    family = name.partition("_")[0]
    if family == "vit":
        options["image_size"] = crop
    model = models.get_model(name, weights=None, num_classes=len(names), **options)
    fill(model, read_weights(source).tensors, source, name)
    look = Look(
        tuple(weights.transforms().mean),
        tuple(weights.transforms().std),
        (crop, crop) if family in _ONE_SIZE else None,
        least,
    )
    return ClassifierTarget(model, names, look, (crop, crop), device)


def _weights(name: str, published: str) -> Any:
    known = models.list_models(module=models)
    if name not in known:
        close = [each for each in known if each[:3] == name[:3]] or known
        raise UsageError(
            f"torchvision has no classifier '{name}'", f"it has {', '.join(close[:20])}, ..."
        )
    found = models.get_model_weights(name)
    if published not in found.__members__:
        raise UsageError(
            f"torchvision publishes no weights '{published}' of {name}",
            f"it publishes {', '.join(found.__members__)}",
        )
    return found[published]
