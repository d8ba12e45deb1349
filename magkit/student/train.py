"""Trains a student, and measures it on real frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import tv_tensors
from torchvision.transforms import v2

from magkit.invert.measures import region_similarity
from magkit.progress import Progress, silent
from magkit.runtime.seeds import derived_seed, generator
from magkit.student.held_out import HeldOutFrame
from magkit.student.network import MULTIPLE, Student
from magkit.student.pictures import Labelled, resized
from magkit.training.config import TrainConfig
from magkit.training.loop import TrainState, train_step

ORDER, AUGMENT, WEIGHTS = 41, 42, 43  # first parts of the keys of draws
POINTS = 3  # a student is measured after all, a half and a quarter of its steps
STRETCH = 1.25  # greatest change of a picture's aspect ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentConfig:
    """How a student is trained: the same for every arm.

    Attributes:
        steps: of AdamW.
        batch: pictures a step.
        rows: height of a picture, pixels.
    """

    steps: int = 400
    batch: int = 8
    rows: int = 128

    def __post_init__(self) -> None:
        if min(self.steps, self.batch) < 1:
            raise ValueError("steps and batch must be at least 1")
        if self.rows < 32 or self.rows % MULTIPLE:
            raise ValueError(f"rows must be a multiple of {MULTIPLE}, at least 32")

    def training(self, seed: int) -> TrainConfig:
        """Return the settings of the optimiser."""
        return TrainConfig(
            steps=self.steps,
            lr=3e-3,
            optimizer="adamw",
            weight_decay=0.01,
            warmup=min(20, self.steps),
            final_lr_ratio=0.02,
            ema=0.98,
            seed=seed,
        )

    def measured(self) -> list[int]:
        """Return the steps after which a student is measured, in order."""
        return sorted({-(-self.steps // 2**n) for n in range(POINTS)})

    def size(self, frame: tuple[int, int]) -> tuple[int, int]:
        """Return height and width of the pictures, for frames of a height and width."""
        width = round(frame[1] * self.rows / frame[0] / MULTIPLE) * MULTIPLE
        return self.rows, max(MULTIPLE, width)


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

    Args:
        pictures: to train on, of one size.
        tests: to measure it on.
        classes: what it learns.
        config: of the training.
        seed: of its weights and of all draws.
        device: where to train.
        progress: called with the steps done.

    Returns:
        J of each test frame by step, after all, a half and a quarter of the steps.

    Raises:
        MagkitError: the training diverged.
    """
    settings, size = config.training(seed), pictures[0].image_3HW.shape[1:]
    state = TrainState.start(seeded_network(len(classes) + 1, seed).to(device), settings)
    found = {}
    for step in range(config.steps):
        images, shares = (part.to(device) for part in drawn(pictures, config.batch, seed, step))
        train_step(state, [partial(losses, state.model, images, shares)], settings)
        progress(step + 1, config.steps)
        if state.step in config.measured():
            found[state.step] = measure(state.average, tests, classes, (size[0], size[1]), device)
    return found


def seeded_network(classes: int, seed: int) -> Student:
    """Return a network whose random weights depend on the seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, WEIGHTS))
        return Student(classes)


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


def drawn(pictures: Sequence[Labelled], batch: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """Return the pictures and labels of a step, augmented; a function of seed and step."""
    order = torch.randint(len(pictures), (batch,), generator=generator(seed, ORDER, step))
    with torch.random.fork_rng():
        torch.manual_seed(derived_seed(seed, AUGMENT, step))
        pairs = [augmented(pictures[int(n)]) for n in order]
    return torch.stack([image for image, _ in pairs]), torch.stack([shares for _, shares in pairs])


def augmented(each: Labelled) -> tuple[Tensor, Tensor]:
    """Crop, mirror, recolour, blur and disturb a picture, and move its labels along."""
    height, width = each.image_3HW.shape[1:]
    ratio = (width / height / STRETCH, width / height * STRETCH)
    image, shares = v2.Compose(
        [
            v2.RandomResizedCrop([height, width], scale=(0.4, 1.0), ratio=ratio, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(0.4, 0.4, 0.4, 0.05),
            v2.RandomGrayscale(0.1),
            v2.RandomApply([v2.GaussianBlur(5, (0.3, 1.5))], 0.3),
            v2.RandomApply([v2.GaussianNoise(sigma=0.05)], 0.3),
        ]
    )(tv_tensors.Image(each.image_3HW), tv_tensors.Mask(each.shares_CHW))
    return image.as_subclass(Tensor), shares.as_subclass(Tensor)


@torch.no_grad()
def measure(
    model: nn.Module,
    tests: Sequence[HeldOutFrame],
    classes: Sequence[str],
    size: tuple[int, int],
    device: torch.device,
) -> list[float]:
    """Return J of the class of each test frame, at the frame's own size."""
    found = []
    for each in tests:
        shown = resized(each.image_3HW, size).clamp(0, 1)
        logits = model(shown[None].to(device))[0].cpu()
        height, width = each.mask_HW.shape
        seen = resized(logits, (height, width)).argmax(0) == classes.index(each.label) + 1
        found.append(region_similarity(seen, each.mask_HW))
    return found
