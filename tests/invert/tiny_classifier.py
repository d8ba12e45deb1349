"""A plugin with a tiny classifier of colours, as tests install it; it can be told to be faulty."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from magkit import Annotation, Labels, MagkitError, Statistic, TargetSpec, hookimpl

COLOURS = ("red", "green", "blue")


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyConfig:
    """Which network, what its three classes are called, and what is wrong with it."""

    seed: int = 0
    classes: tuple[str, ...] = COLOURS
    fault: Literal["none", "forgetful", "sizeless", "masks", "nan", "blind"] = "none"
    stride: int = 1


class Numbers:
    """Of the classes that are asked for; they stay where the picture goes."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = torch.tensor(numbers)

    def moved(self, _maps_N23: Tensor, _size: tuple[int, int], /) -> Labels:
        """Return itself."""
        return self


class Tiny:
    """Says which of three colours there is most of; see `magkit.Target`."""

    def __init__(self, config: TinyConfig) -> None:
        draw = torch.Generator().manual_seed(config.seed)
        self.config, self.stride = config, config.stride
        if config.fault != "sizeless":
            self.size = (32, 48)
        conv, norm, last = (
            nn.Conv2d(3, 3, 3, padding=1, bias=False),
            nn.BatchNorm2d(3),
            nn.Linear(3, 3),
        )
        with torch.no_grad():
            conv.weight.copy_(0.1 * torch.randn(3, 3, 3, 3, generator=draw))
            conv.weight[:, :, 1, 1] += 4 * torch.eye(3)
            last.weight.copy_(6 * torch.eye(3) - 2)
            last.bias.zero_()
        assert norm.running_mean is not None
        norm.running_mean.fill_(1.8)
        self.norm = norm
        self.body = nn.Sequential(conv, norm, nn.ReLU()).eval().requires_grad_(False)
        self.last = last.requires_grad_(False)

    @property
    def classes(self) -> Sequence[str]:
        """The colours' names."""
        return self.config.classes

    def labels(self, annotations: Sequence[Sequence[Annotation]], /) -> Numbers:
        """Return the numbers of the colours."""
        if self.config.fault == "masks" and any(a[0].mask_HW is None for a in annotations):
            raise MagkitError("it needs the mask of an object")
        return Numbers([self.classes.index(picture[0].label) for picture in annotations])

    def logits(self, images_NCHW: Tensor) -> Tensor:
        """Return (N, 3)."""
        found: Tensor = self.last(self.body(images_NCHW).mean((2, 3)))
        return found

    def losses(self, images_NCHW: Tensor, labels: Numbers, /) -> dict[str, Tensor]:
        """Return the cross-entropy."""
        loss = nn.functional.cross_entropy(self.logits(images_NCHW), labels.numbers)
        return {"class": loss * (float("nan") if self.config.fault == "nan" else 1.0)}

    def statistics(self) -> Sequence[Statistic]:
        """What the one layer remembers."""
        if self.config.fault == "forgetful":
            return []
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None
        assert variance is not None
        return [Statistic("1", self.norm, mean, variance)]

    @torch.no_grad()
    def predict(self, images_NCHW: Tensor, /) -> list[list[Annotation]]:
        """Return all three colours, the surest first."""
        if self.config.fault == "blind":
            return [[] for _ in images_NCHW]
        shares = self.logits(images_NCHW).softmax(1)
        return [
            sorted(
                (
                    Annotation(name, None, float(s))
                    for name, s in zip(self.classes, row, strict=True)
                ),
                key=lambda each: -each.score,
            )
            for row in shares
        ]


def build(config: TinyConfig, _weights: Path | None, _device: torch.device) -> Any:
    """Build it; it has no weights."""
    return Tiny(config)


@hookimpl
def magkit_targets() -> Iterable[TargetSpec[Any]]:
    """Offer it."""
    return [TargetSpec(name="tiny", summary="Colours.", config=TinyConfig, build=build)]
