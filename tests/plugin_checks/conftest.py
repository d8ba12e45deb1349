"""A toy target that is whole, and ways to have it with a fault."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from magkit import Annotation, MagkitError, Statistic, TargetSpec
from magkit.invert.affine import resample
from magkit.testing import Check, target_checks

NAMES = ("cat", "dog", "cow")


@dataclass(frozen=True)
class ToyConfig:
    """Nothing to choose."""


@dataclass(frozen=True)
class ToyLabels:
    masks_N1HW: Tensor
    classes_N: Tensor

    def moved(self, source_from_output_N23: Tensor, size: tuple[int, int], /) -> "ToyLabels":
        masks = resample(self.masks_N1HW, source_from_output_N23, size, padding="zeros")
        return ToyLabels(masks, self.classes_N)


class Toy:
    """A class for each cell of 4 x 4 pixels; the mask of one object a picture."""

    stride = 4
    classes: Sequence[str] = NAMES

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, len(NAMES), 1)
        )
        self.model.eval().requires_grad_(False)

    def labels(self, annotations: Sequence[Sequence[Annotation]], /) -> ToyLabels:
        masks, classes = [], []
        for (each,) in annotations:
            if each.label not in (*NAMES, "any"):
                raise MagkitError(f"no class is named '{each.label}'")
            if each.mask_HW is None:
                raise MagkitError("a mask is missing")
            masks.append(each.mask_HW[None])
            classes.append(NAMES.index(each.label) if each.label in NAMES else 0)
        return ToyLabels(torch.stack(masks), torch.tensor(classes))

    def losses(self, images_NCHW: Tensor, labels: ToyLabels, /) -> dict[str, Tensor]:
        maps = self.model(images_NCHW)
        logits = maps[torch.arange(len(maps)), labels.classes_N][:, None]
        cells = F.avg_pool2d(labels.masks_N1HW, 4)
        return {"mask": F.binary_cross_entropy_with_logits(logits, cells)}

    def statistics(self) -> Sequence[Statistic]:
        norm: Any = self.model[1]
        return [Statistic("1", norm, norm.running_mean, norm.running_var)]

    @torch.no_grad()
    def predict(self, images_NCHW: Tensor, /) -> list[list[Annotation]]:
        shares = self.model(images_NCHW).sigmoid()
        found = []
        for picture in shares:
            masks = F.interpolate(picture[None], scale_factor=4.0)[0]
            seen = [Annotation(n, m, float(m.max())) for n, m in zip(NAMES, masks, strict=True)]
            found.append(sorted(seen, key=lambda each: -each.score))
        return found


def toy_of(weights: Path | None) -> Toy:
    toy = Toy()
    if weights is not None:
        try:
            toy.model.load_state_dict(load_file(weights))
        except (SafetensorError, OSError) as error:
            raise MagkitError(f"{weights} can't be read") from error
    return toy


@pytest.fixture
def damaged() -> Callable[..., TargetSpec[Any]]:
    """Makes the spec of a toy to which something is done first."""

    def make(damage: Callable[[Any], None] = lambda _toy: None) -> TargetSpec[Any]:
        def build(config: ToyConfig, weights: Path | None, device: torch.device) -> Any:
            toy = toy_of(weights)
            damage(toy)
            return toy

        return TargetSpec(name="toy", summary="a toy", config=ToyConfig, build=build)

    return make


@pytest.fixture
def asked() -> Callable[[TargetSpec[Any], str], Check]:
    """Finds a check of a target by its name."""

    def find(made: TargetSpec[Any], name: str) -> Check:
        return next(each for each in target_checks(made, size=(64, 96)) if each.name == name)

    return find
