"""Trains a student, and measures it on real frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import tv_tensors
from torchvision.transforms import v2

from magkit.invert.measures import region_similarity
from magkit.progress import Progress, silent
from magkit.runtime.seeds import derived_seed, generator
from magkit.student.network import MULTIPLE, UNet
from magkit.student.pictures import HeldOutFrame, Labelled
from magkit.training.config import TrainConfig
from magkit.training.loop import TrainState, train_step

ORDER, AUGMENT, WEIGHTS = 41, 42, 43  # first parts of the keys of draws


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentConfig:
    """How a student is trained: the same for every arm."""

    steps: int = field(default=400, metadata={"help": "optimiser steps"})
    batch: int = field(default=8, metadata={"help": "pictures a step"})
    lr: float = field(default=2e-3, metadata={"help": "learning rate of AdamW"})
    rows: int = field(default=128, metadata={"help": "height of a picture, pixels"})
    width: int = field(default=16, metadata={"help": "channels of the finest level"})
    points: int = field(default=3, metadata={"help": "measured at the end, the half, ..."})

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.width, self.points) < 1 or not self.lr > 0:
            raise ValueError("steps, batch, width, points and lr must be positive")
        if self.rows < 32 or self.rows % MULTIPLE:
            raise ValueError(f"rows must be a multiple of {MULTIPLE}, at least 32")

    def training(self, seed: int) -> TrainConfig:
        """Return the settings of the optimiser."""
        return TrainConfig(
            steps=self.steps,
            lr=self.lr,
            optimizer="adamw",
            weight_decay=0.01,
            warmup=min(20, self.steps),
            final_lr_ratio=0.02,
            ema=0.98,
            seed=seed,
        )

    def measured(self) -> set[int]:
        """Return the steps after which a student is measured."""
        return {-(-self.steps // 2**n) for n in range(self.points)}


def train_student(
    pictures: Sequence[Labelled],
    tests: Sequence[HeldOutFrame],
    classes: Sequence[str],
    config: StudentConfig,
    seed: int,
    device: torch.device,
    progress: Progress = silent,
) -> dict[int, list[float]]:
    """Train a student from random weights.

    Returns:
        J of each test frame by step, after all, a half, a quarter, ... of the steps.

    Raises:
        MagkitError: the training diverged.
    """
    stored = [shrunk(each, config.rows) for each in pictures]
    network = seeded_network(len(classes) + 1, config.width, seed)
    settings = config.training(seed)
    state = TrainState.start(network.to(device), settings)
    found = {}
    for step in range(config.steps):
        images, shares = (part.to(device) for part in drawn(stored, config.batch, seed, step))
        train_step(state, [partial(losses, state.model, images, shares)], settings)
        progress(step + 1, config.steps)
        if state.step in config.measured():
            found[state.step] = measure(state.average, tests, classes, config.rows, device)
    return found


def seeded_network(classes: int, width: int, seed: int) -> UNet:
    """Return a network whose random weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, WEIGHTS))
        return UNet(classes, width)


def losses(model: nn.Module, images_N3HW: Tensor, shares_NCHW: Tensor) -> dict[str, Tensor]:
    """Return the cross-entropy of each pixel, and 1 - Dice's coefficient of the objects."""
    logits = model(images_N3HW)
    seen = logits.softmax(1)[:, 1:]
    wanted = shares_NCHW[:, 1:]
    both = (seen * wanted).sum((2, 3))
    dice = 1 - (2 * both + 1) / (seen.sum((2, 3)) + wanted.sum((2, 3)) + 1)
    present = wanted.sum((2, 3)) > 1
    overlap = dice[present].mean() if present.any() else dice.sum() * 0
    return {"entropy": F.cross_entropy(logits, shares_NCHW), "overlap": overlap}


def shrunk(each: Labelled, rows: int) -> tuple[Tensor, Tensor]:
    """Return a picture and its labels at a height of `rows`."""
    height, width = each.image_3HW.shape[1:]
    size = rows, max(MULTIPLE, round(width * rows / height / MULTIPLE) * MULTIPLE)
    image = resized(each.image_3HW, size).clamp(0, 1)
    return image, F.interpolate(each.shares_CHW[None], size, mode="area")[0]


def resized(image_CHW: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a picture at a size."""
    return F.interpolate(
        image_CHW[None], size, mode="bilinear", align_corners=False, antialias=True
    )[0]


def drawn(
    stored: Sequence[tuple[Tensor, Tensor]], batch: int, seed: int, step: int
) -> tuple[Tensor, Tensor]:
    """Return the pictures and labels of a step, augmented; a function of seed and step."""
    order = torch.randint(len(stored), (batch,), generator=generator(seed, ORDER, step))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, AUGMENT, step))
        pairs = [augmented(*stored[int(n)], stored[0][0].shape[1:]) for n in order]
    return torch.stack([image for image, _ in pairs]), torch.stack([s for _, s in pairs])


def augmented(image_3HW: Tensor, shares_CHW: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Crop, mirror, recolour, blur and disturb a picture, and move its labels along."""
    both = (tv_tensors.Image(image_3HW), tv_tensors.Mask(shares_CHW))
    image, shares = v2.Compose(
        [
            v2.RandomResizedCrop(list(size), scale=(0.4, 1.0), ratio=(1.4, 2.2), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.4, 0.4, 0.4, 0.05),
            v2.RandomGrayscale(0.1),
            v2.RandomApply([v2.GaussianBlur(5, (0.3, 1.5))], 0.3),
            v2.RandomApply([v2.GaussianNoise(sigma=0.05)], 0.3),
        ]
    )(both)
    return image.as_subclass(Tensor), shares.as_subclass(Tensor)


@torch.no_grad()
def measure(
    model: nn.Module,
    tests: Sequence[HeldOutFrame],
    classes: Sequence[str],
    rows: int,
    device: torch.device,
) -> list[float]:
    """Return J of the class of each test frame, at the frame's own size."""
    found = []
    for each in tests:
        plain = Labelled(each.name, each.image_3HW, each.mask_HW[None].float())
        logits = model(shrunk(plain, rows)[0][None].to(device))[0].cpu()
        height, width = each.mask_HW.shape
        seen = resized(logits, (height, width)).argmax(0) == classes.index(each.label) + 1
        found.append(region_similarity(seen, each.mask_HW))
    return found
